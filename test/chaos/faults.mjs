// The faults of the chaos run. Each begins, ends, and says what shows that its part of the agent works again.
import { rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { childrenOf, pause } from './processes.mjs';

const CHILD_POLL_MS = 20;
/** The child processes of a snapshot have the lowest priority. Each has two minutes of CPU time. */
const SNAPSHOT_MS = 180_000;
const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;
/** The watcher reports an application thread that stands still for 5 s, so there is an alert to deliver. */
const BLOCK_MS = 7_000;

/** Sends `signal` to every child that the server starts, until `end` is called. */
function signalChildren({ server }, signal) {
  const seen = new Set();
  const timer = setInterval(() => {
    for (const pid of childrenOf(server.pid)) {
      try {
        if (!seen.has(pid)) process.kill(pid, signal);
        seen.add(pid);
      } catch {
        // It has ended by itself.
      }
    }
  }, CHILD_POLL_MS);
  return { seen, end: () => clearInterval(timer) };
}

const both = ({ server, control }, command, fields) =>
  Promise.all([server.ask(command, fields), control.ask(command, fields)]);

/** A fault on both servers that a command begins and another one ends. */
const onBoth = (begin, end) => ({
  begin: async (context) => (await both(context, begin))[0],
  end: (context) => both(context, end),
});

/** A child gets a signal while the agent takes a snapshot. `hit` must be above 0: without a child nothing was tested. */
const onChildren = (signal) => ({
  async begin(context) {
    context.children = signalChildren(context, signal);
    context.snapshot = context.server.ask('snapshot', {}, SNAPSHOT_MS);
    await pause(100);
    return null;
  },
  async end(context) {
    context.children.end();
    for (const pid of context.children.seen) {
      try {
        process.kill(pid, 'SIGCONT');
      } catch {
        // It has ended.
      }
    }
    context.outcome = await context.snapshot;
    return `${context.children.seen.size} children, snapshot ${context.outcome}`;
  },
  isHit: ({ children }) => children.seen.size > 0,
  // A failure has a code. 'no answer' and null are none of the outcomes.
  isBack: ({ outcome }) => /^(?:written|refused|failed WSGUARD_)/.test(outcome ?? ''),
});

/** A peer of the agent that answers badly, until the agent reaches it again. */
const onSink = (name, fault, during = async () => {}) => ({
  async begin(context) {
    const sink = context[name];
    sink.refusedBefore = sink.refused;
    sink.fault = fault;
    await during(context);
    return null;
  },
  end(context) {
    const sink = context[name];
    sink.fault = null;
    sink.receivedBefore = sink.received;
    return `${sink.refused - sink.refusedBefore} requests`;
  },
  isHit: (context) => context[name].refused > context[name].refusedBefore,
  isBack: (context) => context[name].received > context[name].receivedBefore,
});

/** The clock jumps by `ms` in all threads of both servers, and back. */
const onClock = (ms) => ({
  async begin(context) {
    const [watcherMs] = await both(context, 'shift-clock', { ms });
    context.clockJumpMs = watcherMs - Date.now();
    return null;
  },
  end: (context) => void both(context, 'shift-clock', { ms: 0 }),
  isHit: ({ clockJumpMs }) => Math.abs(clockJumpMs - ms) < MINUTE_MS,
});

export const FAULTS = {
  'disk full': {
    needs: ({ disk }) => disk.because,
    begin({ dir }) {
      try {
        for (let file = 0; ; file += 1) writeFileSync(join(dir, `filler-${file}`), Buffer.alloc(1 << 20));
      } catch (error) {
        return error.code;
      }
    },
    end({ dir }) {
      rmSync(dir + '/filler-0', { force: true });
      for (let file = 1; file < 100; file += 1) rmSync(join(dir, `filler-${file}`), { force: true });
      return statSync(dir).isDirectory() ? 'freed' : 'gone';
    },
  },
  'collector resets': onSink('collector', 'reset'),
  'webhook stalls': onSink('webhook', 'stall', (context) => both(context, 'block', { ms: BLOCK_MS })),
  'watcher ended': {
    begin: ({ server }) => server.ask('end-watcher'),
    end: () => null,
    isHit: (_context, began) => began === 'ended',
  },
  'children killed': onChildren('SIGKILL'),
  'children stopped': onChildren('SIGSTOP'),
  'clock one hour ahead': onClock(HOUR_MS),
  'clock one hour back': onClock(-HOUR_MS),
  'no descriptors': {
    ...onBoth('take-descriptors', 'release-descriptors'),
    isHit: (_context, began) => began === 'EMFILE',
    // Node cannot accept a connection now, with or without the agent.
    stopsChurn: true,
  },
  'heap nearly full': { ...onBoth('fill-heap', 'release-heap'), fillsHeap: true },
};
