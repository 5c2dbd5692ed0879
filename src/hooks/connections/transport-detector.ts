/** Detects the transport that a socket carries, by the objects that Node and ws attach to it. */
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { descriptionOf } from '../../core/primordials.ts';
import { baseReader } from '../base-property.ts';
import { readField } from '../discovery/field-reader.ts';
import type { Connection, DetectedTransport } from './connection.ts';
import { isWebSocket, type WebSocketLike } from './web-socket.ts';
import { hasProperty } from '../find-property.ts';

interface HttpSocket extends Socket {
  readonly server?: object | null;
  readonly alpnProtocol?: string | false;
  /** Node's HTTP parser stays on a socket until an upgrade removes it. */
  readonly parser?: unknown;
  /** The response that is being written; null between two responses. */
  readonly _httpMessage?: (ServerResponse & { readonly _header?: string | null }) | null;
}

/** A handler may delay its answer to an upgrade. Until then the socket can still become a WebSocket. */
const UNDECIDED_MS = 60_000;
/** Each copy of ws in the process has a symbol of its own: socket.io alone brings two copies. */
const MAX_SYMBOLS = 20;
const EVENT_STREAM = /^content-type:[ \t]*text\/event-stream/im;

export class TransportDetector {
  readonly #webSocketSymbols: symbol[] = [];
  /** Sockets without an HTTP parser that one call has seen: an upgrade may be in progress. */
  readonly #pendingUpgrades = new WeakSet<Socket>();
  readonly #isWatched: (socket: Socket) => boolean;

  /** `isWatched`: the application passed the socket to `watchConnection`, so it needs no HTTP server. */
  constructor(isWatched: (socket: Socket) => boolean) {
    this.#isWatched = isWatched;
  }

  /** Null: no connection to count. `pending`: the socket does not show its transport yet; call again later. */
  detect(socket: Socket): DetectedTransport | 'pending' | null {
    const isWatched = this.#isWatched(socket);
    const { parser, _httpMessage: response } = socket as HttpSocket;
    const ws = parser ? null : this.#findWebSocket(socket);
    if (ws !== null) return { transport: 'websocket', appObject: ws };
    // A response without a parser: some routers send upgrades through their routes (@fastify/websocket).
    if (parser || response) {
      const stream = eventStreamOf(socket);
      if (stream !== null) return { transport: 'sse', appObject: stream };
      return isWatched ? { transport: 'upgraded', appObject: socket } : null;
    }
    if (isWatched) return { transport: 'upgraded', appObject: socket };
    if (!isUpgradeable(socket)) return null;
    if (this.#pendingUpgrades.has(socket)) return { transport: 'upgraded', appObject: socket };
    if (isDestroyed(socket) === true) return null;
    this.#pendingUpgrades.add(socket);
    return 'pending';
  }

  /**
   * True when an event stream ended on a kept-alive socket, or an upgrade has become a WebSocket since. An upgrade that
   * has been silent for a minute is decided.
   */
  hasChanged({ socket, transport, appObject, receivedAtMs }: Connection, nowMs: number): boolean {
    if (transport === 'sse') return eventStreamOf(socket) !== appObject;
    return (
      transport === 'upgraded' && nowMs - receivedAtMs < UNDECIDED_MS && this.#findWebSocket(socket) !== null
    );
  }

  /**
   * ws stores the WebSocket on its socket under a symbol described `websocket`, in minified bundles too. The symbol is a
   * private detail of ws, so the value must also look like a WebSocket.
   */
  #findWebSocket(socket: Socket): WebSocketLike | null {
    for (const symbol of this.#webSocketSymbols) {
      const value = readField(socket, symbol);
      if (isWebSocket(value)) return value;
    }
    for (const symbol of Object.getOwnPropertySymbols(socket)) {
      const value = descriptionOf(symbol) === 'websocket' ? readField(socket, symbol) : null;
      if (!isWebSocket(value)) continue;
      const symbols = this.#webSocketSymbols;
      if (symbols.length < MAX_SYMBOLS && !symbols.includes(symbol)) symbols.push(symbol);
      return value;
    }
    return null;
  }
}

const isDestroyed = baseReader('destroyed');
const hasWritableEnded = baseReader('writableEnded');

/** The unfinished event stream on a socket. After `writeHead(200, {...})` only the raw header has the content type. */
function eventStreamOf(socket: Socket): ServerResponse | null {
  const { _httpMessage: response } = socket as HttpSocket;
  if (!response || hasWritableEnded(response) === true) return null;
  const header = readField(response, '_header');
  return typeof header === 'string' && EVENT_STREAM.test(header) ? response : null;
}

/** Only sockets of HTTP/1 servers: those of a plain TCP server and HTTP/2 sessions are not counted. */
const isUpgradeable = ({ server, alpnProtocol }: HttpSocket): boolean =>
  Boolean(server && hasProperty(server, 'headersTimeout')) && alpnProtocol !== 'h2';
