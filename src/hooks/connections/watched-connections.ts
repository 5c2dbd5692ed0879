import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { misuse } from '../registered-collections.ts';

interface Handed {
  /** Of a ws WebSocket. */
  readonly _socket?: unknown;
  /** Of a request or response, and of a connection of the package `websocket`. */
  readonly socket?: unknown;
}

/** The socket under what the application hands over: itself, a WebSocket's, a response's; else misuse. */
export function socketOf(connection: Duplex): Socket {
  const { _socket, socket } = connection as Handed;
  for (const candidate of [_socket, socket, connection]) {
    if (isStream(candidate)) return candidate as Socket;
  }
  throw misuse('connection', connection);
}

const isStream = (value: unknown): boolean => {
  const { pipe, on, write } = (value ?? {}) as Record<string, unknown>;
  return typeof pipe === 'function' && typeof on === 'function' && typeof write === 'function';
};
