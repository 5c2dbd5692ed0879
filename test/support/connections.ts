/** Connection records and socket stand-ins for unit tests of the hooks. */
import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { createConnection, type Connection } from '../../src/hooks/connections/connection.ts';
import type { WebSocketLike } from '../../src/hooks/connections/web-socket.ts';

/** A WebSocket connection whose last bytes came, and whose last bytes left, at 0 ms. */
export const connectionWith = (fields: Partial<Connection> = {}): Connection => {
  const { socket, transport = 'websocket', appObject = {}, ...rest } = fields;
  const peer = socket ?? ({ bytesRead: 100 } as Socket);
  return Object.assign(createConnection(peer, { transport, appObject }, 0, 0), { flushedAtMs: 0, ...rest });
};

/** The members of a socket that the hooks read; tests set them. */
export class FakeSocket extends EventEmitter {
  bytesRead = 0;
  writableLength = 0;
  destroyed = false;
  readableEnded = false;
  writableEnded = false;
  errored: Error | null = null;
  timeout = 0;
  paused = false;
  parser: unknown = null;
  server: object | null = { headersTimeout: 60_000 };
  _httpMessage: object | null = null;
  _bytesDispatched = 0;
  _handle: { writeQueueSize: number } | null = { writeQueueSize: 0 };
  localPort: number | undefined;
  remoteAddress: string | undefined;
  remotePort: number | undefined;
  isPaused(): boolean {
    return this.paused;
  }
  pipe(): void {}
  write(): boolean {
    return true;
  }
  get asSocket(): Socket {
    return this as unknown as Socket;
  }
}

export interface FakeWebSocket extends WebSocketLike {
  readyState: number;
  bufferedAmount: number;
  /** The method, `this` and the arguments of each call that reached the class itself. */
  readonly calls: unknown[][];
}

/** A class of WebSockets as ws has it: `send`, `ping` and `close` are on the prototype. Each test makes its own. */
export function fakeWebSocketClass(): new (socket: FakeSocket, fields?: object) => FakeWebSocket {
  const FakeWebSocket = class extends EventEmitter {
    readyState = 1;
    bufferedAmount = 0;
    readonly _isServer = true;
    readonly _socket: Socket;
    readonly calls: unknown[][] = [];
    constructor(socket: FakeSocket, fields: object = {}) {
      super();
      this._socket = socket.asSocket;
      Object.assign(this, fields);
      Object.assign(socket, { [Symbol('websocket')]: this });
    }
    send(...args: unknown[]): unknown {
      this.calls.push(['send', this, ...args]);
      if (args[0] === 'throw') throw new Error('from send');
      return 'sent';
    }
    ping(...args: unknown[]): unknown {
      this.calls.push(['ping', this, ...args]);
      if (args[0] === 'throw') throw new Error('from ping');
      return 'pinged';
    }
    close(...args: unknown[]): unknown {
      this.calls.push(['close', this, ...args]);
      if (args[0] === 'throw') throw new Error('from close');
      return 'closed';
    }
  };
  return FakeWebSocket as unknown as new (socket: FakeSocket, fields?: object) => FakeWebSocket;
}
