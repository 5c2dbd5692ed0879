import type { Socket } from 'node:net';
import type { Connection } from './connection.ts';
import type { Signs } from './liveness.ts';
import type { WebSocketLike } from './ws-instrumentation.ts';

interface CountingSocket extends Socket {
  readonly _bytesDispatched?: number;
  readonly _handle?: { readonly writeQueueSize?: number } | null;
}

/** One look at a socket, under a microsecond. */
export function signsOf(connection: Connection): Signs {
  const socket = connection.socket as CountingSocket;
  const waitingBytes =
    connection.transport === 'websocket'
      ? (connection.holder as WebSocketLike).bufferedAmount
      : socket.writableLength;
  const waits = waitingBytes > 0 || connection.waitingBytes > 0;
  return { bytesRead: socket.bytesRead, waitingBytes, takenBytes: waits ? takenBytes(socket) : 0 };
}

/** Not `bytesWritten`, which walks everything that is queued. */
const takenBytes = (socket: CountingSocket): number =>
  (socket._bytesDispatched ?? 0) - (socket._handle?.writeQueueSize ?? 0);
