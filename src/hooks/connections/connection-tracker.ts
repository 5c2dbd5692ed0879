/** Tracks what each open socket carries and whether its peer responds, by events and by sweeps in slices. */
import type { Socket } from 'node:net';
import { rethrow, type Guard } from '../../core/guard.ts';
import type { Blind, Clock, ConnectionIds, Dispose } from '../../types/index.ts';
import { addListener, baseMethod, baseReader } from '../base-property.ts';
import { readField } from '../discovery/field-reader.ts';
import { socketEndOf } from './close-status.ts';
import { ConnectionDurations } from './connection-durations.ts';
import { NEVER, createConnection, readBytesRead, readSocket, type Connection } from './connection.ts';
import { ConnectionTotals, type ConnectionSums } from './connection-totals.ts';
import { HiddenPings } from './hidden-pings.ts';
import {
  LibraryConnections,
  isLibraryConnectionOpen,
  type LibraryConnection,
} from './library-connections.ts';
import {
  applyReading,
  evaluateLiveness,
  hasHeartbeat,
  isAsleep,
  isLost,
  isPingDue,
  isSilent,
  isSlow,
  probeGroupOf,
  type LivenessRules,
  type PingPolicy,
  type PingRound,
  type ProbeState,
} from './liveness.ts';
import { MAX_EXAMPLE_IDS, type RetainedConnections } from './retained-connections.ts';
import { isSentAway, type SocketObserver, type SocketTracker } from './socket-tracker.ts';
import { peerKey } from './tcp-table.ts';
import { TransportDetector } from './transport-detector.ts';
import {
  WatchedConnections,
  type ConnectionObject,
  type WatchConnectionOptions,
} from './watched-connections.ts';
import { closeCodeLabel, isOpen, type WebSocketLike } from './web-socket.ts';
import type { WsInstrumentation } from './ws-instrumentation.ts';

export interface ConnectionTrackerDeps {
  readonly clock: Clock;
  readonly guard: Guard;
  readonly sockets: SocketTracker;
  readonly rules: LivenessRules;
  readonly instrumentation: WsInstrumentation;
  readonly retained: RetainedConnections;
  /** The WebSocket servers that the emitter tracker has seen. */
  readonly servers: () => readonly object[];
  /** Called before the libraries handle the close of a WebSocket. */
  readonly onWebSocketClosed?: () => void;
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
  readonly durations = new ConnectionDurations();
  readonly #deps: ConnectionTrackerDeps;
  readonly #totals = new ConnectionTotals();
  readonly #watched = new WatchedConnections();
  readonly #transports = new TransportDetector((socket) => this.#watched.has(socket));
  readonly #hiddenPings = new HiddenPings();
  readonly #libraries: LibraryConnections;
  readonly #onWebSocketClose: (this: object, code: number) => void;
  #sweep: Iterator<Socket> | null = null;
  #newSockets: NewSocket[] = [];
  /** The new sockets that `classifySlice` works on. */
  #classifying: NewSocket[] = [];
  #lostPeers: ReadonlySet<string> = new Set();
  #pingsEveryone = false;
  #isSuspicious = false;
  /** The running sweep is the one of its minute that pings a sample. */
  #isSampling = false;
  #sampledAtMs = Number.NEGATIVE_INFINITY;
  #sampledShare = 0;
  #refreshedAtMs = Number.NEGATIVE_INFINITY;
  #stalledUntilMs = 0;

  constructor(deps: ConnectionTrackerDeps) {
    this.#deps = deps;
    this.#libraries = new LibraryConnections(deps.servers);
    const noteCode = deps.guard.wrap('close code', (ws: object, code: number) => {
      const label = closeCodeLabel(code);
      this.closeCodes[label] = (this.closeCodes[label] ?? 0) + 1;
      this.durations.noteCode(ws, code);
    });
    // One function for all connections: a closure for each would cost memory.
    this.#onWebSocketClose = function onWebSocketClose(code) {
      noteCode(this, code);
    };
  }

  read(): ConnectionSums {
    return this.#totals.read();
  }

  blind(): Blind[] {
    return this.#watched.blind();
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

  /** The last read of the TCP table has found some, of this or another process. */
  get hasLostPeers(): boolean {
    return this.#lostPeers.size > 0;
  }

  /** Keys of `lostPeers`; the next sweep applies them. */
  setLostPeers(peers: ReadonlySet<string>): void {
    this.#lostPeers = peers;
  }

  /**
   * Tracks a connection that the application names, whatever server accepted it. After Dispose the connection counts only
   * if the agent would have found it by itself.
   */
  watch(connection: ConnectionObject, options?: WatchConnectionOptions): Dispose {
    const { watch, replaced } = this.#watched.add(connection, options);
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
    this.#addNew(socket, Math.trunc(this.#deps.clock.nowMs()));
  }

  /** Runs before the libraries handle the close, while the socket still shows what it carries. */
  socketClosed(socket: Socket, existing: Connection | null): void {
    const nowMs = Math.trunc(this.#deps.clock.nowMs());
    const connection = existing ?? this.#classify(socket, nowMs, nowMs);
    if (connection !== null) {
      this.#noteDuration(connection, nowMs);
      this.#close(connection, nowMs);
      if (connection.transport === 'websocket') {
        addListener(connection.appObject, 'close', this.#onWebSocketClose);
        this.#deps.onWebSocketClosed?.();
      }
    }
    this.#watched.forget(socket);
  }

  /** One slice over the new sockets; true when all are done. */
  classifySlice(): boolean {
    if (this.#classifying.length === 0) {
      this.#classifying = this.#newSockets;
      this.#newSockets = [];
    }
    return this.#slice((nowMs) => {
      const added = this.#classifying.pop();
      if (added !== undefined) this.#update(added.socket, nowMs, added.openedAtMs);
      return added !== undefined;
    });
  }

  /** One slice of a sweep over all open sockets; true when the sweep is complete. Sockets may open and close between. */
  sweepSlice(): boolean {
    const sweep = (this.#sweep ??= this.#startSweep());
    const isDone = this.#slice((nowMs) => {
      const next = sweep.next();
      if (!next.done) this.#update(next.value, nowMs, nowMs);
      return !next.done;
    });
    if (isDone) this.#sweep = null;
    return isDone;
  }

  stop(): void {
    this.#watched.stop();
    for (const connection of this.#deps.sockets.open.values())
      if (connection !== null) this.#stopHiding(connection);
  }

  #startSweep(): Iterator<Socket> {
    const { clock, rules, sockets } = this.#deps;
    const nowMs = clock.nowMs();
    this.#isSampling = this.#isSuspicious && nowMs - this.#sampledAtMs >= rules.pingEveryUnderSuspicionMs;
    if (this.#isSampling) {
      this.#sampledAtMs = nowMs;
      this.#sampledShare = SUSPICION_SAMPLE / Math.max(1, this.#totals.unprobed());
    }
    const isStale = nowMs - this.#refreshedAtMs >= rules.pingEveryUnderSuspicionMs;
    if (this.#totals.active('upgraded') > 0 && isStale) {
      this.#refreshedAtMs = nowMs;
      this.#libraries.refresh();
    }
    return sockets.open.keys();
  }

  /** `step` handles one socket; false when none is left. */
  #slice(step: (nowMs: number) => boolean): boolean {
    const { clock, guard } = this.#deps;
    const startMs = clock.nowMs();
    const nowMs = Math.trunc(startMs);
    let fault: unknown = null;
    let isDone = false;
    for (let count = 1; count <= MAX_SLICE_CONNECTIONS; count += 1) {
      try {
        isDone = !step(nowMs);
      } catch (error) {
        fault = error;
      }
      if (isDone) break;
      if (count % CLOCK_EVERY_CONNECTIONS === 0 && clock.nowMs() - startMs > MAX_SLICE_MS) break;
    }
    // One fault a slice reaches the guard: the other connections of the slice are done by then.
    if (fault !== null) guard.run('connection', () => rethrow(fault), undefined);
    return isDone;
  }

  #addNew(socket: Socket, openedAtMs: number): void {
    if (this.#newSockets.length < MAX_NEW_SOCKETS) this.#newSockets.push({ socket, openedAtMs });
  }

  /** `openedAtMs`: open time of the connection if the socket has none yet. */
  #update(socket: Socket, nowMs: number, openedAtMs: number): void {
    const { open } = this.#deps.sockets;
    const existing = open.get(socket);
    if (existing === undefined) return;
    if (isDestroyed(socket) === true) {
      // `close` follows at once, unless the application removed all listeners of the socket.
      this.#deps.sockets.remove(socket);
      return;
    }
    if (isSentAway(socket)) {
      this.#releaseSentAway(socket, existing, nowMs);
      return;
    }
    let connection = existing;
    if (existing === null || this.#transports.hasChanged(existing, nowMs)) {
      if (existing !== null) this.#close(existing, nowMs);
      // The stream has ended on a kept-alive socket. An upgrade that becomes a WebSocket is still open.
      if (existing?.transport === 'sse')
        this.durations.add('sse', 'normal_closure', (nowMs - existing.openedAtMs) / 1_000);
      const isUpgrade = existing?.transport === 'upgraded';
      connection = this.#classify(socket, nowMs, isUpgrade ? existing.openedAtMs : openedAtMs);
      open.set(socket, connection);
    }
    if (connection !== null) this.#probe(connection, nowMs);
  }

  #releaseSentAway(socket: Socket, connection: Connection | null, nowMs: number): void {
    if (connection !== null) this.#close(connection, nowMs);
    this.#watched.forget(socket);
    this.#deps.sockets.release(socket);
  }

  #probe(connection: Connection, nowMs: number): void {
    const { rules } = this.#deps;
    const { sendBufferBytes, bytesRead, liveness, isPeerLost } = connection;
    applyReading(connection, readSocket(connection), nowMs);
    this.#totals.addSendBuffer(connection.sendBufferBytes - sendBufferBytes);
    this.#totals.addReceived(connection.bytesRead - bytesRead);
    const probe = this.#probeState(connection, nowMs);
    connection.isPeerLost = this.#isPeerLost(connection, probe.isPaused);
    const time = { nowMs, stalledUntilMs: this.#stalledUntilMs };
    this.#totals.setLiveness(connection, evaluateLiveness(connection, probe, rules, time));
    this.#totals.setSlow(connection, isSlow(connection, rules, nowMs));
    // A stall of the event loop makes peers responsive that have not shown it. A peer leaves the TCP table when it confirms bytes.
    const isAlive =
      connection.receivedAtMs === nowMs ||
      (sendBufferBytes > 0 && connection.flushedAtMs === nowMs) ||
      (isPeerLost && !this.#isInTcpTable(connection));
    const isBack = isAlive && liveness === 'unresponsive' && connection.liveness !== 'unresponsive';
    this.#totals.setAsleep(connection, isAsleep(connection, nowMs), isBack);
    this.#totals.setLost(connection, isLost(connection, rules, nowMs), isAlive);
    this.#totals.setProbeGroup(connection, probeGroupOf(connection, probe, rules, nowMs));
    if (probe.pings === 'never' || !isSilent(connection, rules, nowMs)) return;
    if (isPingDue(connection, probe.pings, rules, this.#pingRound(nowMs)))
      this.#ping(connection, probe.pings, nowMs);
  }

  /** Only for connections that nobody pings: a reply to a ping is better evidence than a table that was read earlier. */
  #isPeerLost(connection: Connection, isPaused: boolean): boolean {
    if (this.#lostPeers.size === 0) return false;
    const { transport, probeGroup } = connection;
    const isUnprobed = probeGroup === 'waiting' || probeGroup === 'timeout';
    if (transport === 'websocket' && this.#deps.rules.pings && !isUnprobed && !isPaused) return false;
    return this.#isInTcpTable(connection);
  }

  #isInTcpTable({ socket }: Connection): boolean {
    const key = this.#lostPeers.size === 0 ? null : peerKey(socket);
    return key !== null && this.#lostPeers.has(key);
  }

  #ping(connection: Connection, policy: PingPolicy, nowMs: number): void {
    const { instrumentation } = this.#deps;
    connection.agentPingAtMs = nowMs;
    if (policy === 'schedule') instrumentation.ping(connection.appObject as WebSocketLike);
    else connection.hidesPongs = this.#pingHidden(connection);
    const isSent = policy === 'schedule' || connection.hidesPongs;
    if (isSent && connection.unansweredPingAtMs === NEVER) connection.unansweredPingAtMs = nowMs;
  }

  /** False when nothing was sent: the pong cannot be hidden, or the protocol has no ping. */
  #pingHidden(connection: Connection): boolean {
    const { socket, transport, appObject } = connection;
    if (transport === 'websocket') {
      const ws = appObject as WebSocketLike;
      return this.#hiddenPings.send(ws, connection, (payload) =>
        this.#deps.instrumentation.ping(ws, payload),
      );
    }
    const library = this.#libraries.find(socket);
    let isSent = false;
    const write = (payload: string): void => void (isSent = library?.ping(payload) !== false);
    return library !== null && this.#hiddenPings.send(library, connection, write) && isSent;
  }

  #stopHiding({ socket, transport, appObject }: Connection): void {
    if (transport === 'websocket') this.#hiddenPings.release(appObject as WebSocketLike);
    const library = transport === 'upgraded' ? this.#libraries.find(socket) : null;
    if (library !== null) this.#hiddenPings.release(library);
  }

  #pingRound(nowMs: number): PingRound {
    const isSampled = this.#isSampling && Math.random() < this.#sampledShare;
    return { nowMs, everyone: this.#pingsEveryone, isSampled };
  }

  #probeState(connection: Connection, nowMs: number): ProbeState {
    const { rules } = this.#deps;
    const { socket, transport } = connection;
    const isPaused = callIsPaused(socket) === true;
    const hasPeerEnded = transport !== 'sse' && hasReadableEnded(socket) === true;
    const mayProbe = rules.pings && !isPaused;
    if (mayProbe && isSilent(connection, rules, nowMs)) {
      if (transport === 'websocket')
        return { isPaused, hasPeerEnded, ...this.#webSocketProbe(connection, nowMs) };
      if (transport === 'upgraded') return { isPaused, hasPeerEnded, ...this.#libraryProbe(connection) };
    }
    const pings = mayProbe && transport === 'websocket' ? 'schedule' : 'never';
    return { pings, isHalfHeartbeat: false, obstacle: null, isPaused, hasPeerEnded };
  }

  /**
   * On the schedule the agent pings only a WebSocket that the application neither pings nor listens to for pongs, and
   * whose socket has no timeout (docs/architecture.md).
   */
  #webSocketProbe(connection: Connection, nowMs: number): ProbeRule {
    const { rules, instrumentation } = this.#deps;
    const ws = connection.appObject as WebSocketLike;
    if (!isOpen(ws) || hasHeartbeat(connection, rules, nowMs)) return NEVER_PINGED;
    if (readField(connection.socket, 'timeout')) return HAS_TIMEOUT;
    // The pings of the application are not seen, so the connection is pinged like those of other libraries.
    if (instrumentation.hasFixedPrototype) return connection.hidesPongs ? UNDER_SUSPICION : NEVER_PINGED;
    if (!instrumentation.hasAppPongListener(ws, connection)) return ON_SCHEDULE;
    // With two pings under way a peer may reply to the last one only, and the application would wait for its pong.
    if (!connection.hidesPongs || connection.roundTripStartMs !== NEVER) return NEVER_PINGED;
    return connection.appPingAtMs === NEVER ? HALF_HEARTBEAT : UNDER_SUSPICION;
  }

  /** The pings of other libraries are not seen, so these connections are never pinged on the schedule. */
  #libraryProbe({ socket, hidesPongs }: Connection): ProbeRule {
    const library: LibraryConnection | null = this.#libraries.find(socket);
    if (library === null || !hidesPongs) return NO_PING;
    if (!isLibraryConnectionOpen(library)) return NEVER_PINGED;
    return readField(socket, 'timeout') ? HAS_TIMEOUT : UNDER_SUSPICION;
  }

  #classify(socket: Socket, nowMs: number, openedAtMs: number): Connection | null {
    const detected = this.#transports.detect(socket);
    if (detected === 'pending') this.#addNew(socket, openedAtMs);
    if (detected === null || detected === 'pending') return null;
    const connection = createConnection(socket, detected, openedAtMs, nowMs);
    // First the part that a strange class can make fail: a connection that was added twice would be closed once.
    if (detected.transport === 'websocket')
      this.#deps.guard.run(
        'instrumentation',
        () => this.#deps.instrumentation.instrument(detected.appObject as WebSocketLike),
        undefined,
      );
    this.#totals.addOpened(connection);
    return connection;
  }

  /** A fault here must not keep the connection in the counts of open ones. */
  #noteDuration(connection: Connection, nowMs: number): void {
    const { guard, instrumentation } = this.#deps;
    const note = (): void => {
      const serverClose = instrumentation.takeServerClose(connection.appObject);
      this.durations.addClosed(connection, socketEndOf(connection, serverClose, nowMs), nowMs);
    };
    guard.run('connection duration', note, undefined);
  }

  #close(connection: Connection, nowMs: number): void {
    this.#stopHiding(connection);
    this.#totals.addClosed(connection);
    this.#totals.addReceived(readBytesRead(connection.socket) - connection.bytesRead);
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

interface NewSocket {
  readonly socket: Socket;
  readonly openedAtMs: number;
}

const isDestroyed = baseReader('destroyed');
const hasReadableEnded = baseReader('readableEnded');
const callIsPaused = baseMethod('isPaused');

type ProbeRule = Pick<ProbeState, 'pings' | 'isHalfHeartbeat' | 'obstacle'>;
const ON_SCHEDULE: ProbeRule = { pings: 'schedule', isHalfHeartbeat: false, obstacle: null };
const UNDER_SUSPICION: ProbeRule = { pings: 'suspicion', isHalfHeartbeat: false, obstacle: null };
const HALF_HEARTBEAT: ProbeRule = { ...UNDER_SUSPICION, isHalfHeartbeat: true };
const NEVER_PINGED: ProbeRule = { pings: 'never', isHalfHeartbeat: false, obstacle: null };
const NO_PING: ProbeRule = { ...NEVER_PINGED, obstacle: 'no-ping' };
const HAS_TIMEOUT: ProbeRule = { ...NEVER_PINGED, obstacle: 'timeout' };
