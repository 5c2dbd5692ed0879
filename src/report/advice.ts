/** What to do, by kind. `now` is for the night: safe, reversible, no code. `fix` is for the morning. */
import type { Kind } from '../types/index.ts';

export interface Advice {
  readonly now: string;
  readonly fix: string;
  /** What a restart buys instead of time; null where growth starts anew, so that time is what it buys. */
  readonly restart: string | null;
}

const ADVICE: Readonly<Record<Kind, Advice>> = {
  'zombie-connections': {
    now: 'Restart one instance at a time; clients that are alive reconnect, the dead ones are gone. Let the snapshot finish first.',
    fix: 'Ping each connection every 30 s and terminate() the ones that did not answer the one before; leave rooms and maps in the close handler.',
    restart: null,
  },
  'slow-consumer': {
    now: 'Disconnect the slowest clients (terminate, not close), or lower the rate of broadcasts; restart only if memory is short.',
    fix: 'Before send() look at bufferedAmount: above a high-water mark drop the frame or, where it must arrive, close the connection.',
    restart: null,
  },
  'listener-accumulation': {
    now: 'Restart one instance at a time before the limit; nothing else removes listeners that nobody can name any more.',
    fix: 'Remove the listener when its connection closes (keep the function, `removeListener` in the close handler), or keep one listener and look the connection up in a Map.',
    restart: null,
  },
  'registry-growth': {
    now: 'Restart one instance at a time before the limit.',
    fix: 'Delete the entry in the close handler of the connection that made it, under the same key, once; never only on a polite goodbye message.',
    restart: null,
  },
  'room-growth': {
    now: 'Restart one instance at a time before the limit.',
    fix: 'Leave every room in the close handler and delete a room whose last member left; a join that arrives after the close must not count.',
    restart: null,
  },
  'queue-growth': {
    now: 'Restart one instance at a time before the limit; what waits in the queue is lost.',
    fix: 'Give the queue a bound (items and age), drop or refuse beyond it, count what was dropped, and empty it when its connection closes.',
    restart: null,
  },
  'retained-after-close': {
    now: 'Restart one instance at a time before the limit; look at the snapshot for what still holds the closed connections.',
    fix: 'Find the holder in the snapshot (a timer, a promise, a closure, a cache) and release it in the close handler.',
    restart: null,
  },
  'unclosed-growth': {
    now: 'See whether the clients are real: if so this is load, add instances. If not, restart one instance at a time.',
    fix: 'Close connections that are idle for longer than the application needs, and close the old one when the same user connects again.',
    restart: null,
  },
  'external-buffers': {
    now: 'Restart one instance at a time before the limit; a heap snapshot shows who holds the Buffers, not their bytes.',
    fix: 'Copy what you keep of a message (`Buffer.from(slice)`): a slice holds its whole pool. Bound caches of Buffers.',
    restart: null,
  },
  'native-or-compression': {
    now: 'Restart one instance at a time before the container limit.',
    fix: 'Turn perMessageDeflate off or bound it (serverNoContextTakeover, a threshold, a concurrencyLimit): each context costs about 250 to 300 KB outside the heap.',
    restart: null,
  },
  'heap-growth': {
    now: 'Restart one instance at a time before the limit; keep the snapshots.',
    fix: 'Compare the snapshots (`npx wsguard analyse first second`): what is in both and gained references to new objects is the holder.',
    restart: null,
  },
  divergence: {
    now: 'Nothing yet: watch it. The evidence is too thin for more; it becomes a named alert or goes away.',
    fix: 'Register what you suspect (`watchRegistry`, `watchQueue`) so that it is counted beside memory.',
    restart: null,
  },
  'memory-threshold': {
    now: 'Restart one instance at a time if the time to the limit is short; else raise the limit or add an instance.',
    fix: 'If memory is flat this is size, not a leak: give the process more (`--max-old-space-size`, the container) or fewer connections.',
    restart: null,
  },
  exhaustion: {
    now: 'Restart this instance now, in order: drain, then stop. It will die by itself otherwise, in the middle of its work.',
    fix: 'Look for the leak alert that came before; if there is none, for what began when memory turned upwards.',
    restart: null,
  },
  'connection-limit': {
    now: 'Add an instance, or raise the limit if memory and descriptors allow it.',
    fix: 'Refuse new connections above the limit with 1013 (try again later) instead of degrading for all.',
    restart: 'A restart moves the connections elsewhere; they come back.',
  },
  'descriptor-limit': {
    now: 'Raise the limit for new processes (`ulimit -n`, LimitNOFILE) and restart one instance at a time; at the limit accept() fails for everybody.',
    fix: 'If descriptors grow while connections do not, sockets or files are not closed: list them with `ls -l /proc/<pid>/fd`.',
    restart:
      'A restart gives all descriptors back; where they are not closed they run out again in the time they took now.',
  },
  'gc-pressure': {
    now: 'Take load off this instance; if memory is near its limit restart it in order.',
    fix: 'Allocate less per message (serialise a broadcast once), or give the heap more room: near its limit the collector works all the time.',
    restart: null,
  },
  'loop-lag': {
    now: 'Take load off this instance. Latency is felt by every client of it.',
    fix: 'Find the long synchronous work (`node --cpu-prof`, a profile of this minute): JSON of large objects, crypto, a sort over all connections.',
    restart: 'A restart ends what runs now, not its cause.',
  },
  'blocked-loop': {
    now: 'The process answers nobody. If it does not come back within a minute, restart it; first look at its stack: `kill -USR1 <pid>` opens the inspector even of a blocked process.',
    fix: 'Look for an endless or very long loop, a regular expression with backtracking, or a synchronous call to something that hangs.',
    restart: 'A restart ends what runs now, not its cause.',
  },
  'process-died': {
    now: 'Nothing: it runs again. Read the last alert before its death, it says what memory did.',
    fix: 'With exit code 137 or `oom_kill` the container was full: compare its limit with `--max-old-space-size` plus 30 % for buffers and stacks.',
    restart: 'It was restarted already.',
  },
};

export const adviceOf = (kind: Kind): Advice => ADVICE[kind];

/** What goes into an alert. */
export const adviceText = (kind: Kind): string => `${ADVICE[kind].now} Then: ${ADVICE[kind].fix}`;

export const docsOf = (kind: Kind): string => `docs/leaks/${kind}.md`;
