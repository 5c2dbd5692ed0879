/** Tracks what each open socket carries and whether its peer responds, by events and by sweeps in slices. */
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Guard } from '../../core/guard.ts';
import type { Clock, ConnectionIds, Dispose } from '../../types/index.ts';
import { NEVER, createConnection, readSocket, type Connection } from './connection.ts';
import { ConnectionTotals, type ConnectionSums } from './connection-totals.ts';
import {
  applyReading,
  evaluateLiveness,
  hasHeartbeat,
  isPingDue,
  isSilent,
  isSlow,
  type LivenessRules,
  type PingRound,
  type ProbeState,
} from './liveness.ts';
import { MAX_EXAMPLE_IDS, type RetainedConnections } from './retained-connections.ts';
import type { SocketObserver, SocketTracker } from './socket-tracker.ts';
import { peerKey } from './tcp-table.ts';
import { TransportDetector } from './transport-detector.ts';
import { WatchedConnections, type WatchConnectionOptions } from './watched-connections.ts';
import { closeCodeLabel, isOpen, type WebSocketLike } from './web-socket.ts';
import type { WsInstrumentation } from './ws-instrumentation.ts';

export interface ConnectionTrackerDeps {
  readonly clock: Clock;
  readonly guard: Guard;
  readonly sockets: SocketTracker;
  readonly rules: LivenessRules;
  readonly instrumentation: WsInstrumentation;
  readonly retained: RetainedConnections;
}

/** Connections that one round under suspicion pings (docs/architecture.md). */
const SUSPICION_SAMPLE = 200;
/** A slice ends after either bound, so that it does not block the event loop for longer. */
const MAX_SLICE_CONNECTIONS = 1_000;
const MAX_SLICE_MS = 1;
const CLOCK_EVERY_CONNECTIONS = 16;
/** A bound against a storm of connections: the next sweep classifies the rest. */
const MAX_NEW_SOCKETS = 20_000;

export class ConnectionTracker implements SocketObserver {
  readonly closeCodes: Record<string, number> = {};
  readonly #deps: ConnectionTrackerDeps;
  readonly #totals = new ConnectionTotals();
  readonly #watched = new WatchedConnections();
  readonly #transports = new TransportDetector((socket) => this.#watched.has(socket));
  readonly #onWebSocketClose: (code: number) => void;
  #sweep: Iterator<Socket> | null = null;
  #newSockets: Socket[] = [];
  /** The new sockets that `classifySlice` works on. */
  #classifying: Socket[] = [];
  #retransmittingPeers: ReadonlySet<string> = new Set();
  #pingsEveryone = false;
  #isSuspicious = false;
  #stalledUntilMs = 0;

  constructor(deps: ConnectionTrackerDeps) {
    this.#deps = deps;
    this.#onWebSocketClose = deps.guard.wrap('close code', (code) => {
      const label = closeCodeLabel(code);
      this.closeCodes[label] = (this.closeCodes[label] ?? 0) + 1;
    });
  }

  read(): ConnectionSums {
    return this.#totals.read();
  }

  /** Null when the application has never given an id. */
  readIds(): ConnectionIds | null {
    if (!this.#watched.hasUsedIds) return null;
    const unanswering: string[] = [];
    const slow: string[] = [];
    const ids = { unanswering, slow, retained: this.#deps.retained.retainedIds };
    const sums = this.#totals.read();
    if (sums.unresponsive + sums.slow === 0) return ids;
    for (const { id, socket } of this.#watched.named()) {
      const connection = this.#deps.sockets.open.get(socket);
      if (!connection || id === null) continue;
      const isUnresponsive = connection.liveness === 'unresponsive';
      if (isUnresponsive && unanswering.length < MAX_EXAMPLE_IDS) unanswering.push(id);
      if (this.#totals.isSlow(connection) && slow.length < MAX_EXAMPLE_IDS) slow.push(id);
    }
    return ids;
  }

  /** Under suspicion a sample of the silent connections is pinged once a minute. */
  setSuspicion(on: boolean): void {
    this.#isSuspicious = on;
  }

  /** While on, a sweep pings every silent connection that may be pinged. */
  setPingEveryone(on: boolean): void {
    this.#pingsEveryone = on;
  }

  /** The event loop was blocked until now: replies that came meanwhile are not read yet. */
  noteStall(untilMs: number): void {
    this.#stalledUntilMs = untilMs;
  }

  /** Keys of `retransmittingPeers`; the next sweep applies them. */
  setRetransmittingPeers(peers: ReadonlySet<string>): void {
    this.#retransmittingPeers = peers;
  }

  /**
   * Tracks a connection that the application names, whatever server accepted it. After Dispose the connection counts only
   * if the agent would have found it by itself.
   */
  watch(socketOrStream: Duplex, options?: WatchConnectionOptions): Dispose {
    const { watch, replaced } = this.#watched.add(socketOrStream, options);
    const { socket } = watch;
    if (replaced !== null) this.#dropUnlessDetected(replaced);
    if (socket.destroyed) this.#watched.end(watch);
    else this.#deps.sockets.add(socket);
    return () => {
      if (this.#watched.end(watch)) this.#dropUnlessDetected(socket);
    };
  }

  /** The socket is classified later: before its first bytes nothing is known about it. */
  socketOpened(socket: Socket): void {
    if (this.#newSockets.length < MAX_NEW_SOCKETS) this.#newSockets.push(socket);
  }

  /** Runs before the libraries handle the close, while the socket still shows what it carries. */
  socketClosed(socket: Socket, existing: Connection | null): void {
    const nowMs = this.#deps.clock.nowMs();
    const connection = existing ?? this.#classify(socket, nowMs);
    if (connection !== null) {
      this.#close(connection, nowMs);
      if (connection.transport === 'websocket')
        (connection.appObject as WebSocketLike).on('close', this.#onWebSocketClose);
    }
    this.#watched.forget(socket);
  }

  /** One slice over the new sockets; true when all are done. */
  classifySlice(): boolean {
    if (this.#classifying.length === 0) {
      this.#classifying = this.#newSockets;
      this.#newSockets = [];
    }
    return this.#slice(() => this.#classifying.pop());
  }

  /** One slice of a sweep over all open sockets; true when the sweep is complete. Sockets may open and close between. */
  sweepSlice(): boolean {
    const sweep = (this.#sweep ??= this.#deps.sockets.open.keys());
    const isDone = this.#slice(() => {
      const next = sweep.next();
      return next.done ? undefined : next.value;
    });
    if (isDone) this.#sweep = null;
    return isDone;
  }

  stop(): void {
    this.#watched.stop();
  }

  #slice(next: () => Socket | undefined): boolean {
    const { clock, guard } = this.#deps;
    const startMs = clock.nowMs();
    let fault: unknown = null;
    let isDone = false;
    for (let count = 1; count <= MAX_SLICE_CONNECTIONS; count += 1) {
      const socket = next();
      isDone = socket === undefined;
      if (socket === undefined) break;
      try {
        this.#update(socket, startMs);
      } catch (error) {
        fault = error;
      }
      if (count % CLOCK_EVERY_CONNECTIONS === 0 && clock.nowMs() - startMs > MAX_SLICE_MS) break;
    }
    // One fault a slice reaches the guard: the other connections of the slice are done by then.
    if (fault !== null) guard.run('connection', () => rethrow(fault), undefined);
    return isDone;
  }

  #update(socket: Socket, nowMs: number): void {
    const { open } = this.#deps.sockets;
    const existing = open.get(socket);
    if (existing === undefined) return;
    if (socket.destroyed) {
      // `close` follows at once, unless the application removed all listeners of the socket.
      this.#deps.sockets.remove(socket);
      return;
    }
    let connection = existing;
    if (existing === null || this.#transports.hasChanged(existing, nowMs)) {
      if (existing !== null) this.#close(existing, nowMs);
      connection = this.#classify(socket, nowMs);
      open.set(socket, connection);
    }
    if (connection !== null) this.#probe(connection, nowMs);
  }

  #probe(connection: Connection, nowMs: number): void {
    const { rules } = this.#deps;
    const beforeBytes = connection.sendBufferBytes;
    applyReading(connection, readSocket(connection), nowMs);
    this.#totals.addSendBuffer(connection.sendBufferBytes - beforeBytes);
    connection.retransmitting = this.#retransmittingPeers.size > 0 && this.#isRetransmitting(connection);
    const probe = this.#probeState(connection, nowMs);
    const time = { nowMs, stalledUntilMs: this.#stalledUntilMs };
    this.#totals.setLiveness(connection, evaluateLiveness(connection, probe, rules, time));
    this.#totals.setSlow(connection, isSlow(connection, rules, nowMs));
    if (!probe.canPing || !isSilent(connection, rules, nowMs)) return;
    if (isPingDue(connection, rules, this.#pingRound(nowMs))) this.#ping(connection, nowMs);
  }

  /** Only for connections that nobody pings: a reply to a ping is better evidence than a table that was read earlier. */
  #isRetransmitting(connection: Connection): boolean {
    if (connection.transport === 'websocket' && this.#deps.rules.pings) return false;
    const key = peerKey(connection.socket);
    return key !== null && this.#retransmittingPeers.has(key);
  }

  #ping(connection: Connection, nowMs: number): void {
    connection.agentPingAtMs = nowMs;
    if (connection.unansweredPingAtMs === NEVER) connection.unansweredPingAtMs = nowMs;
    this.#deps.instrumentation.ping(connection.appObject as WebSocketLike);
  }

  #pingRound(nowMs: number): PingRound {
    const share = SUSPICION_SAMPLE / Math.max(1, this.#totals.active('websocket'));
    const isSampled = this.#isSuspicious && (share >= 1 || Math.random() < share);
    return { nowMs, everyone: this.#pingsEveryone, isSampled };
  }

  /**
   * The agent pings only a WebSocket that the application neither pings nor listens to for pongs, and whose socket has no
   * timeout (docs/architecture.md).
   */
  #probeState(connection: Connection, nowMs: number): ProbeState {
    const { rules, instrumentation } = this.#deps;
    const { socket, transport } = connection;
    const isPaused = socket.isPaused();
    const hasPeerEnded = transport !== 'sse' && socket.readableEnded;
    if (!rules.pings || transport !== 'websocket' || isPaused)
      return { canPing: false, isPaused, hasPeerEnded };
    if (!isSilent(connection, rules, nowMs)) return { canPing: true, isPaused, hasPeerEnded };
    const ws = connection.appObject as WebSocketLike;
    const isAppProbing =
      hasHeartbeat(connection, rules, nowMs) || instrumentation.hasAppPongListener(ws, connection);
    return { canPing: isOpen(ws) && !socket.timeout && !isAppProbing, isPaused, hasPeerEnded };
  }

  #classify(socket: Socket, nowMs: number): Connection | null {
    const detected = this.#transports.detect(socket);
    if (detected === 'pending') this.socketOpened(socket);
    if (detected === null || detected === 'pending') return null;
    const connection = createConnection(socket, detected.transport, detected.appObject, nowMs);
    this.#totals.addOpened(connection);
    if (detected.transport === 'websocket')
      this.#deps.instrumentation.instrument(detected.appObject as WebSocketLike);
    return connection;
  }

  #close(connection: Connection, nowMs: number): void {
    this.#totals.addClosed(connection);
    this.#deps.retained.addClosed(connection.appObject, nowMs, this.#watched.idOf(connection.socket));
  }

  /** After the end of a watch: stops counting a connection that was counted only because it was watched. */
  #dropUnlessDetected(socket: Socket): void {
    const { open } = this.#deps.sockets;
    const connection = open.get(socket);
    if (!connection || this.#transports.detect(socket) !== null) return;
    open.set(socket, null);
    this.#totals.addClosed(connection);
  }
}

const rethrow = (error: unknown): never => {
  throw error;
};
