import type { Socket } from 'node:net';
import type { Transport } from '../../types/index.ts';

/** `unknown` cannot be asked, and is never counted as `no`. */
export type Answering = 'yes' | 'no' | 'unknown';

/** What is kept of one open connection: numbers only beside the objects that the server holds anyway. */
export interface Connection {
  readonly socket: Socket;
  transport: Transport;
  /** The WebSocket or the response that an application would keep; the socket itself where neither is known. */
  holder: object;
  readonly openedAtMs: number;
  answering: Answering;
  /** Bytes waiting in the process to be sent. */
  waitingBytes: number;
  bytesRead: number;
  /** When bytes last came back. */
  heardAtMs: number;
  /** The oldest ask without an answer; NEVER when there is none. */
  askedAtMs: number;
  /** Our own last ping. */
  pingedAtMs: number;
  /** The application's last ping. */
  appPingedAtMs: number;
  /** The ping whose pong gives a round trip; NEVER once it came. */
  roundTripFromMs: number;
  /** Bytes that the kernel has taken, when that last grew, and what was waiting then. */
  takenBytes: number;
  takenAtMs: number;
  waitingAtTakenBytes: number;
  /** The kernel's own word: it keeps sending the same bytes again. */
  retransmitting: boolean;
  listensForPong: boolean;
}

export const NEVER = -1;

export function createConnection(
  socket: Socket,
  transport: Transport,
  holder: object,
  nowMs: number,
): Connection {
  return {
    socket,
    transport,
    holder,
    openedAtMs: nowMs,
    answering: 'yes',
    waitingBytes: 0,
    bytesRead: socket.bytesRead,
    heardAtMs: nowMs,
    askedAtMs: NEVER,
    pingedAtMs: NEVER,
    appPingedAtMs: NEVER,
    roundTripFromMs: NEVER,
    takenBytes: 0,
    takenAtMs: nowMs,
    waitingAtTakenBytes: 0,
    retransmitting: false,
    listensForPong: false,
  };
}
