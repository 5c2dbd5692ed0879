/** The record of one open connection: numbers beside the objects that the server keeps anyway. */
import type { Socket } from 'node:net';
import type { Transport } from '../../types/index.ts';
import type { WebSocketLike } from './web-socket.ts';

/** `unknown`: the connection cannot be probed. It never counts as `unresponsive`. */
export type Liveness = 'responsive' | 'unresponsive' | 'unknown';

export interface Connection {
  readonly socket: Socket;
  readonly transport: Transport;
  /** The WebSocket or the response that an application would keep; the socket itself where neither is known. */
  readonly appObject: object;
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
  /** Bytes that the kernel has accepted, the time when they last grew, and the send buffer at that time. */
  flushedBytes: number;
  flushedAtMs: number;
  sendBufferAtFlushBytes: number;
  /** The kernel keeps sending the same bytes again (`tcp-table.ts`). */
  retransmitting: boolean;
  /** The instrumentation has its `pong` listener on this WebSocket. */
  hasPongListener: boolean;
  /** False when the pong of an agent's ping would reach the listeners of the application (`hidden-pings.ts`). */
  hidesPongs: boolean;
  probeGroup: ProbeGroup;
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

export function createConnection(
  socket: Socket,
  transport: Transport,
  appObject: object,
  nowMs: number,
): Connection {
  return {
    socket,
    transport,
    appObject,
    openedAtMs: nowMs,
    liveness: 'responsive',
    sendBufferBytes: 0,
    bytesRead: socket.bytesRead,
    receivedAtMs: nowMs,
    unansweredPingAtMs: NEVER,
    agentPingAtMs: NEVER,
    appPingAtMs: NEVER,
    roundTripStartMs: NEVER,
    flushedBytes: 0,
    flushedAtMs: nowMs,
    sendBufferAtFlushBytes: 0,
    retransmitting: false,
    hasPongListener: false,
    hidesPongs: true,
    probeGroup: 'scheduled',
  };
}

export interface SocketReading {
  readonly bytesRead: number;
  readonly sendBufferBytes: number;
  /** Bytes that the kernel accepted. Read only while the send buffer is or was in use, else 0. */
  readonly flushedBytes: number;
}

interface CountingSocket extends Socket {
  readonly _bytesDispatched?: number;
  readonly _handle?: { readonly writeQueueSize?: number } | null;
}

/** Reads the counters of a socket in less than a microsecond. */
export function readSocket(connection: Connection): SocketReading {
  const socket = connection.socket as CountingSocket;
  const sendBufferBytes =
    connection.transport === 'websocket'
      ? (connection.appObject as WebSocketLike).bufferedAmount
      : socket.writableLength;
  const isBufferInUse = sendBufferBytes > 0 || connection.sendBufferBytes > 0;
  return {
    bytesRead: socket.bytesRead,
    sendBufferBytes,
    flushedBytes: isBufferInUse ? flushedBytes(socket) : 0,
  };
}

/** `bytesWritten` is not used, because its getter walks the complete write queue. */
const flushedBytes = (socket: CountingSocket): number =>
  (socket._bytesDispatched ?? 0) - (socket._handle?.writeQueueSize ?? 0);
