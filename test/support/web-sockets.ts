/** Stand-ins for a ws server and its WebSockets, for unit tests of the remedies. Integration tests use ws itself. */
import { EventEmitter } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { Message, WebSocketLike, WebSocketServerLike } from '../../src/remedy/types.ts';

export class FakeWebSocket extends EventEmitter implements WebSocketLike {
  readyState = 1;
  bufferedAmount = 0;
  isPaused = false;
  pings = 0;
  readonly sent: Message[] = [];
  closed: { code: number | undefined; reason: string | undefined } | null = null;
  /** Callbacks of `send`, which run when the kernel has taken the bytes. */
  readonly pending: ((error?: Error | null) => void)[] = [];

  send(data: Message, callback?: (error?: Error | null) => void): void {
    this.sent.push(data);
    if (callback !== undefined) this.pending.push(callback);
  }
  ping(): void {
    this.pings += 1;
  }
  close(code?: number, reason?: string): void {
    this.closed = { code, reason };
    this.readyState = 2;
  }
  terminate(): void {
    this.readyState = 3;
    this.emit('close', 1006);
  }
  /** The peer completes the close. */
  finishClose(): void {
    this.readyState = 3;
    this.emit('close', this.closed?.code);
  }
  /** The kernel takes everything that was sent. */
  drain(): void {
    this.bufferedAmount = 0;
    for (const callback of this.pending.splice(0)) callback();
  }
}

export class FakeServer extends EventEmitter implements WebSocketServerLike {
  readonly clients = new Set<FakeWebSocket>();
  close(): void {}
}

export const requestWith = (
  headers: Record<string, string> = {},
  remoteAddress = '10.0.0.1',
): IncomingMessage => ({ headers, socket: { remoteAddress } }) as unknown as IncomingMessage;
