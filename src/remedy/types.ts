/**
 * The parts of ws, `node:http` and Socket.IO that the remedies use. They are structural types, because the package does
 * not depend on ws or Socket.IO: any object with these members works.
 */
import type { EventEmitter } from 'node:events';

export type Message = string | Buffer | ArrayBuffer | ArrayBufferView;

/** A server-side `WebSocket` of ws 7 or 8. */
export interface WebSocketLike extends EventEmitter {
  readonly readyState: number;
  readonly bufferedAmount: number;
  readonly isPaused?: boolean;
  send(data: Message, callback?: (error?: Error | null) => void): void;
  ping(): void;
  close(code?: number, reason?: string): void;
  terminate(): void;
}

/** A `WebSocketServer` of ws 7 or 8. `clients` is undefined with `clientTracking: false`. */
export interface WebSocketServerLike extends EventEmitter {
  readonly clients?: ReadonlySet<WebSocketLike> | undefined;
  close(callback?: (error?: Error) => void): void;
}

/** WebSockets, or objects that have one, such as a `ConnectionRegistry`. */
export type WebSocketList = Iterable<WebSocketLike | { readonly ws: WebSocketLike }>;

export const isWebSocketList = (value: object): value is WebSocketList => Symbol.iterator in value;

export function* webSocketsOf(source: WebSocketServerLike | WebSocketList): Generator<WebSocketLike> {
  if (!isWebSocketList(source)) yield* source.clients ?? [];
  else for (const item of source) yield 'ws' in item ? item.ws : item;
}

/** A Socket.IO server, version 4. */
export interface SocketIoServerLike {
  readonly engine: {
    readonly opts: {
      allowRequest?: (request: never, callback: (error: string, isAllowed: boolean) => void) => void;
    };
  };
  of(namespace: string): unknown;
  close(callback?: (error?: Error) => void): unknown;
}

/** `readyState` of a WebSocket (RFC 6455 and the WHATWG API use the same numbers). */
export const OPEN = 1;
export const CLOSING = 2;
export const CLOSED = 3;

/** Size of the memory that holds a message. A string counts as its UTF-8 length, which is what is sent. */
export function messageBytes(message: unknown): number {
  if (typeof message === 'string') return Buffer.byteLength(message);
  if (message instanceof ArrayBuffer || ArrayBuffer.isView(message)) return message.byteLength;
  return 0;
}

/** True for a WebSocket, a stream or a Socket.IO socket that is closing or closed. `readyState` 2 is CLOSING, 3 CLOSED. */
export function hasEnded(connection: EventEmitter): boolean {
  const { readyState, destroyed, connected } = connection as {
    readyState?: unknown;
    destroyed?: unknown;
    connected?: unknown;
  };
  return readyState === 2 || readyState === 3 || destroyed === true || connected === false;
}
