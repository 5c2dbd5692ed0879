/** The record of one open connection: numbers beside the objects that the server keeps anyway. */
import type { Socket } from 'node:net';
import { TRANSPORTS, type Transport } from '../../types/sample.ts';
import { baseNumberReader } from '../base-property.ts';

/** `unknown`: the connection cannot be probed. It never counts as `unresponsive`. */
export type Liveness = (typeof LIVENESS)[number];
const LIVENESS = ['responsive', 'unresponsive', 'unknown'] as const;

export interface DetectedTransport {
  readonly transport: Transport;
  readonly appObject: object;
}

export interface Connection {
  readonly socket: Socket;
  readonly transport: Transport;
  /** The WebSocket or the response that an application would keep; the socket itself where neither is known. */
  readonly appObject: object;
  /** Time when the agent first saw the connection. */
  readonly openedAtMs: number;
  liveness: Liveness;
  /** Pending writes of this process. */
  sendBufferBytes: number;
  bytesRead: number;
  /** Time of the last sweep that saw new bytes from the peer. */
  receivedAtMs: number;
  /** Time of the oldest ping without a reply; NEVER when there is none. */
  unansweredPingAtMs: number;
  agentPingAtMs: number;
  appPingAtMs: number;
  /** Time of the ping whose pong gives a round trip; NEVER after that pong. */
  roundTripStartMs: number;
  /** Bytes that the kernel has accepted, the time when they last grew (or NEVER), and the send buffer at that time. */
  flushedBytes: number;
  flushedAtMs: number;
  sendBufferAtFlushBytes: number;
  /** The kernel keeps sending the same bytes again, or the peer has closed (`tcp-table.ts`). */
  isPeerLost: boolean;
  /** The instrumentation has its `pong` listener on this WebSocket. */
  hasPongListener: boolean;
  /** False when the pong of an agent's ping would reach the listeners of the application (`hidden-pings.ts`). */
  hidesPongs: boolean;
  /** The longest time after which the peer, unresponsive meanwhile, sent something again. 0 before the first. */
  longestSilenceMs: number;
  probeGroup: ProbeGroup;
  /** Two sweeps in a row have found the send buffer empty. Costs no memory, as setting `flushedAtMs` does. */
  noteEmptySendBuffer(nowMs: number): void;
}

/**
 * Why a silent connection is or is not probed. `scheduled` stands for every other connection too.
 *
 * - `waiting`, `probed`, `unresponsive`, `half-heartbeat`: probed under suspicion only. The last ping is too old or
 *   missing, it has a reply, it has none, and it has none on a connection whose pongs the application listens for
 *   without ever sending a ping.
 * - `no-ping`: the library on it is unknown or its protocol has no ping.
 * - `timeout`: a ping would restart the timeout of the socket.
 */
export const PROBE_GROUPS = [
  'scheduled',
  'waiting',
  'probed',
  'unresponsive',
  'half-heartbeat',
  'no-ping',
  'timeout',
] as const;
export type ProbeGroup = (typeof PROBE_GROUPS)[number];

export const NEVER = -1;

/** Most connections never need these: nobody pings them, and their send buffers are empty when a sweep looks. */
type Details = Pick<
  Connection,
  | 'probeGroup'
  | 'sendBufferBytes'
  | 'unansweredPingAtMs'
  | 'agentPingAtMs'
  | 'appPingAtMs'
  | 'roundTripStartMs'
  | 'isPeerLost'
  | 'hasPongListener'
  | 'hidesPongs'
  | 'longestSilenceMs'
  | 'flushedBytes'
  | 'sendBufferAtFlushBytes'
  | 'flushedAtMs'
>;

/**
 * A record of 80 bytes. `#details` exists only where a value differs from its default. Times are whole milliseconds of the
 * process: V8 stores those without an object of their own for the first 24 days. The transport and the liveness share a
 * number, because two fields would take 8 bytes more.
 */
class CompactConnection implements Connection {
  readonly socket: Socket;
  readonly appObject: object;
  readonly openedAtMs: number;
  bytesRead: number;
  receivedAtMs: number;
  /** Index of the liveness times the number of transports, plus the index of the transport. */
  #state: number;
  #details: Details | null = null;

  constructor(
    socket: Socket,
    { transport, appObject }: DetectedTransport,
    openedAtMs: number,
    nowMs: number,
  ) {
    this.socket = socket;
    this.appObject = appObject;
    this.openedAtMs = openedAtMs;
    this.#state = TRANSPORTS.indexOf(transport);
    this.bytesRead = readBytesRead(socket);
    this.receivedAtMs = nowMs;
  }

  get transport(): Transport {
    return TRANSPORTS[this.#state % TRANSPORTS.length] ?? 'upgraded';
  }

  get liveness(): Liveness {
    return LIVENESS[Math.trunc(this.#state / TRANSPORTS.length)] ?? 'unknown';
  }
  set liveness(value: Liveness) {
    this.#state = LIVENESS.indexOf(value) * TRANSPORTS.length + (this.#state % TRANSPORTS.length);
  }

  get probeGroup(): ProbeGroup {
    return this.#details?.probeGroup ?? 'scheduled';
  }
  set probeGroup(value: ProbeGroup) {
    if (value !== this.probeGroup) CompactConnection.#detailsOf(this).probeGroup = value;
  }

  get sendBufferBytes(): number {
    return this.#details?.sendBufferBytes ?? 0;
  }
  set sendBufferBytes(value: number) {
    if (value !== this.sendBufferBytes) CompactConnection.#detailsOf(this).sendBufferBytes = value;
  }

  get unansweredPingAtMs(): number {
    return this.#details?.unansweredPingAtMs ?? NEVER;
  }
  set unansweredPingAtMs(value: number) {
    if (value !== this.unansweredPingAtMs) CompactConnection.#detailsOf(this).unansweredPingAtMs = value;
  }

  get agentPingAtMs(): number {
    return this.#details?.agentPingAtMs ?? NEVER;
  }
  set agentPingAtMs(value: number) {
    if (value !== this.agentPingAtMs) CompactConnection.#detailsOf(this).agentPingAtMs = value;
  }

  get appPingAtMs(): number {
    return this.#details?.appPingAtMs ?? NEVER;
  }
  set appPingAtMs(value: number) {
    if (value !== this.appPingAtMs) CompactConnection.#detailsOf(this).appPingAtMs = value;
  }

  get roundTripStartMs(): number {
    return this.#details?.roundTripStartMs ?? NEVER;
  }
  set roundTripStartMs(value: number) {
    if (value !== this.roundTripStartMs) CompactConnection.#detailsOf(this).roundTripStartMs = value;
  }

  get isPeerLost(): boolean {
    return this.#details?.isPeerLost ?? false;
  }
  set isPeerLost(value: boolean) {
    if (value !== this.isPeerLost) CompactConnection.#detailsOf(this).isPeerLost = value;
  }

  get hasPongListener(): boolean {
    return this.#details?.hasPongListener ?? false;
  }
  set hasPongListener(value: boolean) {
    if (value !== this.hasPongListener) CompactConnection.#detailsOf(this).hasPongListener = value;
  }

  get hidesPongs(): boolean {
    return this.#details?.hidesPongs ?? true;
  }
  set hidesPongs(value: boolean) {
    if (value !== this.hidesPongs) CompactConnection.#detailsOf(this).hidesPongs = value;
  }

  get longestSilenceMs(): number {
    return this.#details?.longestSilenceMs ?? 0;
  }
  set longestSilenceMs(value: number) {
    if (value !== this.longestSilenceMs) CompactConnection.#detailsOf(this).longestSilenceMs = value;
  }

  get flushedBytes(): number {
    return this.#details?.flushedBytes ?? 0;
  }
  set flushedBytes(value: number) {
    if (value !== this.flushedBytes) CompactConnection.#detailsOf(this).flushedBytes = value;
  }

  get sendBufferAtFlushBytes(): number {
    return this.#details?.sendBufferAtFlushBytes ?? 0;
  }
  set sendBufferAtFlushBytes(value: number) {
    if (value !== this.sendBufferAtFlushBytes)
      CompactConnection.#detailsOf(this).sendBufferAtFlushBytes = value;
  }

  get flushedAtMs(): number {
    return this.#details?.flushedAtMs ?? NEVER;
  }
  set flushedAtMs(value: number) {
    CompactConnection.#detailsOf(this).flushedAtMs = value;
  }

  noteEmptySendBuffer(nowMs: number): void {
    if (this.#details !== null) this.#details.flushedAtMs = nowMs;
  }

  /** Static, because V8 adds a field of 8 bytes to each object of a class with private methods. */
  static #detailsOf(connection: CompactConnection): Details {
    return (connection.#details ??= {
      probeGroup: 'scheduled',
      sendBufferBytes: 0,
      unansweredPingAtMs: NEVER,
      agentPingAtMs: NEVER,
      appPingAtMs: NEVER,
      roundTripStartMs: NEVER,
      isPeerLost: false,
      hasPongListener: false,
      hidesPongs: true,
      longestSilenceMs: 0,
      flushedBytes: 0,
      sendBufferAtFlushBytes: 0,
      flushedAtMs: NEVER,
    });
  }
}

/** Both times are whole numbers. */
export const createConnection = (
  socket: Socket,
  detected: DetectedTransport,
  openedAtMs: number,
  nowMs: number,
): Connection => new CompactConnection(socket, detected, openedAtMs, nowMs);

export interface SocketReading {
  readonly bytesRead: number;
  readonly sendBufferBytes: number;
  /** Bytes that the kernel accepted. Read only while the send buffer is or was in use, else 0. */
  readonly flushedBytes: number;
}

interface CountingSocket extends Socket {
  readonly _handle?: { readonly writeQueueSize?: number } | null;
}

export const readBytesRead = baseNumberReader('bytesRead');
const readBytesDispatched = baseNumberReader('_bytesDispatched');
const readWritableLength = baseNumberReader('writableLength');
const readBufferedAmount = baseNumberReader('bufferedAmount');

/** Reads the counters of a socket in less than a microsecond. */
export function readSocket(connection: Connection): SocketReading {
  const socket = connection.socket as CountingSocket;
  const sendBufferBytes =
    connection.transport === 'websocket'
      ? readBufferedAmount(connection.appObject)
      : readWritableLength(socket);
  const isBufferInUse = sendBufferBytes > 0 || connection.sendBufferBytes > 0;
  return {
    bytesRead: readBytesRead(socket),
    sendBufferBytes,
    flushedBytes: isBufferInUse ? flushedBytes(socket) : 0,
  };
}

/** `bytesWritten` is not used, because its getter walks the complete write queue. */
const flushedBytes = (socket: CountingSocket): number =>
  readBytesDispatched(socket) - (socket._handle?.writeQueueSize ?? 0);
