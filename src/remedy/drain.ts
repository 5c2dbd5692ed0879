/** `drain`: ends all connections of a server in a way that lets the clients come back spread over time. */
import type { Server, ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { createClock } from '../core/clock.ts';
import { countAction } from './agent-registration.ts';
import { callSafely } from './call-safely.ts';
import { atLeast, checkOptions, CLOSE_CODE, TEXT } from './options.ts';
import { eventStreamsOf } from './sse-heartbeat.ts';
import {
  CLOSING,
  isWebSocketList,
  OPEN,
  webSocketsOf,
  type SocketIoServerLike,
  type WebSocketLike,
  type WebSocketList,
  type WebSocketServerLike,
} from './types.ts';

/** A WebSocket server, an HTTP server, a Socket.IO server, or the WebSockets themselves, such as a `ConnectionRegistry`. */
export type DrainTarget = WebSocketServerLike | Server | SocketIoServerLike | WebSocketList;

export interface DrainOptions {
  /** The least time that a client should wait before it connects again; each is given up to twice that. Default 2,000. */
  readonly reconnectInMs?: number;
  /** Close code of WebSockets. Default 1001 ("going away"). */
  readonly code?: number;
  /** Connections that are open after this time are destroyed. Default 10,000. */
  readonly deadlineMs?: number;
  /** Wait for this signal, such as `SIGTERM`, then drain, then let the signal end the process. Default: drain now. */
  readonly signal?: NodeJS.Signals;
}

export interface DrainResult {
  /** Connections that ended by themselves before the deadline. */
  readonly closed: number;
  /** Connections that were destroyed at the deadline. */
  readonly forced: number;
}

const RECONNECT_IN_MS = 2_000;
const GOING_AWAY = 1001;
const DEADLINE_MS = 10_000;
const POLL_MS = 50;

/** A connection of any kind, as the drain sees it. */
interface Draining {
  /** Sends the hint and starts the close. */
  readonly close: (reconnectInMs: number) => void;
  readonly isOpen: () => boolean;
  readonly destroy: () => void;
}

/**
 * Stops new connections, sends each client `{"type":"SERVER_SHUTDOWN","reconnectInMs":n}` (event streams get `retry: n`)
 * and closes it. Resolves when all are closed, at the latest at the deadline. `target` can be a list of several.
 */
export async function drain(
  target: DrainTarget | readonly DrainTarget[],
  options: DrainOptions = {},
): Promise<DrainResult> {
  checkOptions('drain', options, {
    reconnectInMs: atLeast(0),
    code: CLOSE_CODE,
    deadlineMs: atLeast(0),
    signal: TEXT,
  });
  const { signal } = options;
  if (signal === undefined) return drainNow(asList(target), options);
  await new Promise<void>((resolve) => process.once(signal, () => resolve()));
  const result = await drainNow(asList(target), options);
  // Our listener replaced the default action of the signal. Without another listener the signal now ends the process,
  // one turn later, so that the caller gets the result first.
  setImmediate(() => {
    if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
  });
  return result;
}

/** An array has targets or connections, such as `[...registry]`. */
const asList = (target: DrainTarget | readonly DrainTarget[]): readonly DrainTarget[] =>
  Array.isArray(target)
    ? (target as readonly DrainTarget[]).map((item) => (isConnection(item) ? [item] : item))
    : [target as DrainTarget];

async function drainNow(targets: readonly DrainTarget[], options: DrainOptions): Promise<DrainResult> {
  const { reconnectInMs = RECONNECT_IN_MS, code = GOING_AWAY, deadlineMs = DEADLINE_MS } = options;
  const clock = createClock();
  const deadlineAtMs = clock.nowMs() + deadlineMs;
  const servers = targets.map(stopAccepting);
  const connections = new Map<object, Draining>();
  /** A connection whose handshake was under way when the drain began appears later. */
  function closeNew(): void {
    for (const [connection, draining] of targets.flatMap((target) => [...connectionsOf(target, code)])) {
      if (connections.has(connection)) continue;
      connections.set(connection, draining);
      callSafely('drain', () => draining.close(Math.round(reconnectInMs * (1 + Math.random()))));
    }
  }
  const openConnections = (): Draining[] => [...connections.values()].filter(({ isOpen }) => isOpen());

  closeNew();
  while (
    (openConnections().length > 0 || servers.some(({ isBusy }) => isBusy())) &&
    clock.nowMs() < deadlineAtMs
  ) {
    // Unlike the timers of the clock this one keeps the process alive: code after the drain must run.
    await sleep(Math.max(1, Math.min(POLL_MS, deadlineAtMs - clock.nowMs())));
    closeNew();
  }
  const late = openConnections();
  for (const { destroy } of [...late, ...servers]) callSafely('drain', destroy);
  for (let n = 0; n < late.length; n += 1) countAction('drain', 'forced');
  return { closed: connections.size - late.length, forced: late.length };
}

const isSocketIo = (target: DrainTarget): target is SocketIoServerLike =>
  'engine' in target && 'of' in target;
const isHttp = (target: DrainTarget): target is Server => 'closeIdleConnections' in target;
const isConnection = (item: object): item is WebSocketLike | { readonly ws: WebSocketLike } =>
  'ws' in item || ('terminate' in item && 'bufferedAmount' in item);

/** A server that no longer accepts connections. */
interface StoppedServer {
  /** True while it still answers requests. */
  readonly isBusy: () => boolean;
  readonly destroy: () => void;
}

function stopAccepting(target: DrainTarget): StoppedServer {
  if (isSocketIo(target)) {
    // The HTTP server stays open until the end: a polling client fetches the hint with a new request.
    target.engine.opts.allowRequest = (_request, callback) => callback('server shutdown', false);
    return { isBusy: () => false, destroy: () => void target.close() };
  }
  if (isHttp(target)) return stopHttp(target);
  // `close` of a ConnectionRegistry forgets its connections. With an HTTP server of the application `close` of ws only
  // stops the handling of its upgrades.
  if (!isWebSocketList(target)) callSafely('drain', () => closeWebSocketServer(target));
  return { isBusy: () => false, destroy: () => undefined };
}

/** `close` of ws 7 and older terminates all clients, so they are out of its list during the call. */
function closeWebSocketServer(wss: WebSocketServerLike): void {
  const clients = wss.clients as Set<WebSocketLike> | undefined;
  // Only ws 8 has this member, because it waits for the clients.
  if (clients === undefined || '_shouldEmitClose' in wss) return wss.close();
  const open = [...clients];
  clients.clear();
  wss.close();
  for (const ws of open) clients.add(ws);
}

function stopHttp(server: Server): StoppedServer {
  let isClosed = false;
  server.close(() => (isClosed = true));
  return {
    isBusy() {
      // A connection whose last response has ended would stay open for its keep-alive time.
      server.closeIdleConnections();
      return !isClosed;
    },
    destroy: () => server.closeAllConnections(),
  };
}

function* connectionsOf(target: DrainTarget, code: number): Generator<readonly [object, Draining]> {
  if (isSocketIo(target)) {
    for (const [conn, sockets] of socketsByConnection(target))
      yield [conn, socketIoConnection(conn, sockets)];
  } else if (isHttp(target)) {
    for (const response of eventStreamsOf(target)) yield [response, eventStream(response)];
  } else {
    for (const ws of webSocketsOf(target)) yield [ws, webSocketConnection(ws, code)];
  }
}

interface SocketIoConnection {
  readonly readyState: string;
  close(discard?: boolean): void;
}

interface SocketIoSocket {
  readonly conn: SocketIoConnection;
  emit(event: string, value: unknown): unknown;
  disconnect(close: boolean): unknown;
}

const shutdownHint = (reconnectInMs: number): { type: string; reconnectInMs: number } => ({
  type: 'SERVER_SHUTDOWN',
  reconnectInMs,
});

const webSocketConnection = (ws: WebSocketLike, code: number): Draining => ({
  close(reconnectInMs) {
    if (ws.readyState === OPEN) ws.send(JSON.stringify(shutdownHint(reconnectInMs)), () => undefined);
    ws.close(code, 'server shutdown');
  },
  isOpen: () => ws.readyState <= CLOSING,
  destroy: () => ws.terminate(),
});

interface SocketIoNamespace {
  readonly sockets: ReadonlyMap<string, SocketIoSocket>;
}

/** A client has one connection and one socket in each namespace that it uses. */
function socketsByConnection(server: SocketIoServerLike): Map<SocketIoConnection, SocketIoSocket[]> {
  const { _nsps: namespaces } = server as { _nsps?: ReadonlyMap<string, SocketIoNamespace> };
  const byConnection = new Map<SocketIoConnection, SocketIoSocket[]>();
  for (const { sockets } of namespaces?.values() ?? [server.of('/') as SocketIoNamespace]) {
    for (const socket of sockets.values()) {
      const ofConnection = byConnection.get(socket.conn);
      if (ofConnection === undefined) byConnection.set(socket.conn, [socket]);
      else ofConnection.push(socket);
    }
  }
  return byConnection;
}

const socketIoConnection = (conn: SocketIoConnection, sockets: readonly SocketIoSocket[]): Draining => ({
  close(reconnectInMs) {
    for (const socket of sockets) socket.emit('SERVER_SHUTDOWN', shutdownHint(reconnectInMs));
    // This disconnects the sockets of all namespaces.
    sockets[0]?.disconnect(true);
  },
  // The socket is disconnected at once; its polls or WebSocket take a little longer to deliver the hint.
  isOpen: () => conn.readyState !== 'closed',
  destroy: () => conn.close(true),
});

const eventStream = (response: ServerResponse): Draining => ({
  close: (reconnectInMs) => void response.end(`retry: ${reconnectInMs}\n\n`),
  isOpen: () => !response.closed,
  destroy: () => void response.destroy(),
});
