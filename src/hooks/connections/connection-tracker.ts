import type { Socket } from 'node:net';
import type { Guard } from '../../core/guard.ts';
import type { Clock, Dispose } from '../../types/index.ts';
import { NEVER, createConnection, type Connection } from './connection.ts';
import {
  hear,
  isAskDue,
  isHeartbeat,
  isSilent,
  isSlow,
  judge,
  type Askable,
  type LivenessRules,
} from './liveness.ts';
import { peerKey } from './tcp-table.ts';
import type { Retained } from './retained-connections.ts';
import type { Sockets } from './socket-tracker.ts';
import { signsOf } from './signs.ts';
import { eventStreamOf } from './sse.ts';
import { Tally, type Population } from './connection-totals.ts';
import { Transports } from './transport-detector.ts';
import { closeCodeName, isOpen, webSocketOf, type WebSocketLike, type Wraps } from './ws-instrumentation.ts';

export interface ConnectionsDeps {
  readonly clock: Clock;
  readonly guard: Guard;
  readonly sockets: Sockets;
  readonly rules: LivenessRules;
  readonly wraps: Wraps;
  readonly retained: Retained;
}

/** How many of those that may be asked are asked in a round under suspicion. */
const SUSPICION_SAMPLE = 200;
/** A handler may take its time before it answers an upgrade: until then the socket may still become a WebSocket. */
const UNDECIDED_MS = 60_000;
/** Bounds of a slice: the loop is not held longer. */
const SLICE_CONNECTIONS = 1_000;
const SLICE_MS = 1;
const CLOCK_EVERY = 16;
/** In a storm the rest is named by the next sweep. */
const MAX_NEWCOMERS = 20_000;

/** What the open sockets are, how they answer, and what closed; kept current by events and by sliced sweeps. */
export class Connections {
  readonly closeCodes: Record<string, number> = {};
  readonly #deps: ConnectionsDeps;
  readonly #tally = new Tally();
  readonly #transports = new Transports();
  readonly #onWsClose: (code: number) => void;
  #sweep: Iterator<Socket> | null = null;
  #newcomers: Socket[] = [];
  #greeting: Socket[] = [];
  #retransmitting: ReadonlySet<string> = new Set();
  #everybody = false;
  #suspicion = false;
  #stalledUntilMs = 0;

  constructor(deps: ConnectionsDeps) {
    this.#deps = deps;
    this.#onWsClose = deps.guard.wrap('close code', (code) => {
      const name = closeCodeName(code);
      this.closeCodes[name] = (this.closeCodes[name] ?? 0) + 1;
    });
  }

  read(): Population {
    return this.#tally.read();
  }

  suspect(on: boolean): void {
    this.#suspicion = on;
  }
  /** The next sweep asks every silent connection that may be asked. */
  askEverybody(on: boolean): void {
    this.#everybody = on;
  }
  stalled(untilMs: number): void {
    this.#stalledUntilMs = untilMs;
  }

  /** Follows a socket by the application's wish, whatever server it came from. */
  handOver(socket: Socket): Dispose {
    const { sockets } = this.#deps;
    this.#transports.handOver(socket);
    sockets.add(socket);
    return () => {
      const connection = sockets.open.get(socket);
      sockets.open.delete(socket);
      if (connection) this.#tally.close(connection);
    };
  }

  /** Who has the kernel sending again (`hooks/kernel.ts`); applied by the next sweep. */
  retransmits(peers: ReadonlySet<string>): void {
    this.#retransmitting = peers;
  }

  /** A socket is named at its first looks, not on the spot: nothing is known of it before its first bytes. */
  opened(socket: Socket): void {
    if (this.#newcomers.length < MAX_NEWCOMERS) this.#newcomers.push(socket);
  }

  /** One slice over the newcomers; true when each had its look. */
  greetSlice(): boolean {
    if (this.#greeting.length === 0) {
      this.#greeting = this.#newcomers;
      this.#newcomers = [];
    }
    return this.#slice(() => this.#greeting.pop());
  }

  /** One slice of a sweep; true when the round is complete. Sockets may come and go between two slices. */
  sweepSlice(): boolean {
    const sweep = (this.#sweep ??= this.#deps.sockets.open.keys());
    const done = this.#slice(() => {
      const next = sweep.next();
      return next.done ? undefined : next.value;
    });
    if (done) this.#sweep = null;
    return done;
  }

  #slice(next: () => Socket | undefined): boolean {
    const { clock, guard } = this.#deps;
    const startMs = clock.nowMs();
    let fault: unknown = null;
    let done = false;
    for (let seen = 1; seen <= SLICE_CONNECTIONS; seen += 1) {
      const socket = next();
      done = socket === undefined;
      if (socket === undefined) break;
      try {
        this.#look(socket, startMs);
      } catch (error) {
        fault = error;
      }
      if (seen % CLOCK_EVERY === 0 && clock.nowMs() - startMs > SLICE_MS) break;
    }
    if (fault !== null) guard.run('connection', () => rethrow(fault), undefined);
    return done;
  }

  /** Called on the spot, before the libraries hear of the close: what the socket carries is still there. */
  closed(socket: Socket, connection: Connection | null): void {
    const nowMs = this.#deps.clock.nowMs();
    const was = connection ?? this.#classify(socket, nowMs);
    if (was === null) return;
    this.#forget(was, nowMs);
    if (was.transport === 'websocket') (was.holder as WebSocketLike).on('close', this.#onWsClose);
  }

  #look(socket: Socket, nowMs: number): void {
    const { open } = this.#deps.sockets;
    const known = open.get(socket);
    if (known === undefined) return;
    if (socket.destroyed) {
      // Its `close` is due at once; one that never comes was stripped of its listeners.
      this.#deps.sockets.drop(socket);
      return;
    }
    const same = known !== null && !this.#becameOther(known, nowMs);
    const connection = same ? known : this.#classify(socket, nowMs);
    if (!same) open.set(socket, connection);
    if (connection !== null) this.#follow(connection, nowMs);
  }

  #follow(connection: Connection, nowMs: number): void {
    const { rules } = this.#deps;
    const beforeBytes = connection.waitingBytes;
    hear(connection, signsOf(connection), nowMs);
    this.#tally.waiting(connection.waitingBytes - beforeBytes);
    connection.retransmitting = this.#retransmitting.size > 0 && this.#isRetransmitting(connection);
    const askable = this.#askable(connection, nowMs);
    const time = { nowMs, stalledUntilMs: this.#stalledUntilMs };
    this.#tally.judged(connection, judge(connection, askable, rules, time));
    this.#tally.slow(connection, isSlow(connection, rules, nowMs));
    if (!askable.byUs || !isSilent(connection, rules, nowMs)) return;
    if (isAskDue(connection, rules, this.#round(nowMs))) this.#ask(connection, nowMs);
  }

  /** Only where nobody asks: the table was read some time ago, and an answer is better evidence. */
  #isRetransmitting(connection: Connection): boolean {
    if (connection.transport === 'websocket' && this.#deps.rules.pings) return false;
    const key = peerKey(connection.socket);
    return key !== null && this.#retransmitting.has(key);
  }

  #ask(connection: Connection, nowMs: number): void {
    connection.pingedAtMs = nowMs;
    if (connection.askedAtMs === NEVER) connection.askedAtMs = nowMs;
    this.#deps.wraps.ping(connection.holder as WebSocketLike);
  }

  #round(nowMs: number): { nowMs: number; everybody: boolean; sampled: boolean } {
    const share = SUSPICION_SAMPLE / Math.max(1, this.#tally.active('websocket'));
    const sampled = this.#suspicion && (share >= 1 || Math.random() < share);
    return { nowMs, everybody: this.#everybody, sampled };
  }

  /** The ping rules of docs/architecture.md: a WebSocket that the application does not probe and that has no socket timeout. */
  #askable(connection: Connection, nowMs: number): Askable {
    const { rules, wraps } = this.#deps;
    const { socket } = connection;
    const held = {
      paused: socket.isPaused(),
      hungUp: connection.transport !== 'sse' && socket.readableEnded,
    };
    if (!rules.pings || connection.transport !== 'websocket' || held.paused) return { byUs: false, ...held };
    if (!isSilent(connection, rules, nowMs)) return { byUs: true, ...held };
    const ws = connection.holder as WebSocketLike;
    const watched = isHeartbeat(connection, rules, nowMs) || wraps.appHearsPongs(ws, connection);
    return { byUs: isOpen(ws) && !socket.timeout && !watched, ...held };
  }

  #classify(socket: Socket, nowMs: number): Connection | null {
    const carried = this.#transports.of(socket);
    if (carried === 'again') this.opened(socket);
    if (carried === null || carried === 'again') return null;
    const connection = createConnection(socket, carried.transport, carried.holder, nowMs);
    this.#tally.open(connection);
    if (carried.transport === 'websocket') this.#deps.wraps.discover(carried.holder as WebSocketLike);
    return connection;
  }

  /** An event stream that ended on a connection kept alive; an upgrade that took its time to become a WebSocket. */
  #becameOther(connection: Connection, nowMs: number): boolean {
    const { socket, transport, holder } = connection;
    const other =
      transport === 'sse'
        ? eventStreamOf(socket) !== holder
        : transport === 'upgraded' &&
          nowMs - connection.openedAtMs < UNDECIDED_MS &&
          webSocketOf(socket) !== null;
    if (other) this.#forget(connection, nowMs);
    return other;
  }

  #forget(connection: Connection, nowMs: number): void {
    this.#tally.close(connection);
    this.#deps.retained.note(connection.holder, nowMs);
  }
}

const rethrow = (error: unknown): never => {
  throw error;
};
