/** `memorySafeServer`: a WebSocket server with rooms that is made of the other remedies. Use it, or copy from it. */
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  ConnectionRegistry,
  type Connection,
  type ConnectionRegistryOptions,
  type RegistryStats,
} from './connection-registry.ts';
import { processMemory } from '../core/process-memory.ts';
import { drain, type DrainOptions, type DrainResult } from './drain.ts';
import { heartbeat, type HeartbeatOptions } from './heartbeat.ts';
import { memoryGuard, type MemoryGuardOptions } from './memory-guard.ts';
import { atLeast, checkOptions } from './options.ts';
import { Rooms } from './rooms.ts';
import { safeSend } from './safe-send.ts';
import type { WebSocketLike, WebSocketServerLike } from './types.ts';

export interface MemorySafeServerOptions
  extends
    ConnectionRegistryOptions,
    Pick<HeartbeatOptions, 'intervalMs'>,
    Pick<DrainOptions, 'reconnectInMs' | 'deadlineMs'> {
  /** Default 8080; 0 takes a free port. */
  readonly port?: number;
  /** Default: all addresses. */
  readonly host?: string;
  /** Port of `GET /stats`, on 127.0.0.1 only. Default 8081; 0 takes a free port, null opens none. */
  readonly statsPort?: number | null;
  /** Bytes of a message. A larger one closes its connection with 1009. Default 1,048,576. */
  readonly maxPayload?: number;
  /** Above this many bytes in its send buffer a client misses room messages. Default 16,384. */
  readonly highWaterBytes?: number;
  /** Rooms that one connection may join. Default 100. */
  readonly maxRoomsPerConnection?: number;
  readonly memoryGuard?: Pick<MemoryGuardOptions, 'thresholdBytes' | 'onPressure' | 'onExit' | 'claimExit'>;
  /** The `WebSocketServer` class of ws 8. Default: that of the package `ws`, which the application installs. */
  readonly WebSocketServer?: WebSocketServerClass;
}

export interface MemorySafeServer {
  readonly wss: WebSocketServerLike;
  readonly registry: ConnectionRegistry;
  readonly rooms: Rooms<Connection>;
  /** Resolves when both ports are open. */
  readonly listening: Promise<{ readonly port: number; readonly statsPort: number | null }>;
  stats(): MemorySafeServerStats;
  /** Drains the connections and closes both ports. */
  close(): Promise<DrainResult>;
}

export interface MemorySafeServerStats {
  readonly connections: RegistryStats;
  readonly rooms: number;
  readonly memory: NodeJS.MemoryUsage;
  readonly uptimeSeconds: number;
}

type WebSocketServerClass = new (options: {
  readonly server: Server;
  readonly maxPayload: number;
  readonly perMessageDeflate: false;
  readonly clientTracking: true;
}) => WebSocketServerLike;

const PORT = 8080;
const STATS_PORT = 8081;
const MAX_PAYLOAD_BYTES = 1_048_576;
const MAX_ROOMS_PER_CONNECTION = 100;
const MAX_ROOM_NAME_LENGTH = 128;
const OPTION_RULES = {
  maxPayload: atLeast(1),
  highWaterBytes: atLeast(0),
  maxRoomsPerConnection: atLeast(0),
};

/**
 * The protocol is JSON text: `{"type":"join","room":"a"}`, `leave`, `room-message` with `data`, and `ping`, which gets
 * `pong`. Compression is off, because each of its contexts takes memory outside the heap.
 */
export function memorySafeServer(options: MemorySafeServerOptions = {}): MemorySafeServer {
  checkOptions('memorySafeServer', options, OPTION_RULES);
  const WebSocketServer = options.WebSocketServer ?? requireWs();
  const rooms = new Rooms<Connection>();
  const registry = new ConnectionRegistry({
    ...options,
    onRemoved(connection) {
      rooms.leaveAll(connection);
      options.onRemoved?.(connection);
    },
  });
  const server = createServer((_request, response) => response.writeHead(426).end());
  const wss = new WebSocketServer({
    server,
    maxPayload: options.maxPayload ?? MAX_PAYLOAD_BYTES,
    perMessageDeflate: false,
    clientTracking: true,
  });
  const endHeartbeat = heartbeat(wss, options);
  const endGuard = memoryGuard({ ...options.memoryGuard, servers: [server], webSocketServers: [wss] });
  const protocol = new RoomProtocol(rooms, options);

  wss.on('connection', (ws: WebSocketLike, request: IncomingMessage) => {
    // Without a listener an error of one connection would end the process. `close` follows and cleans up.
    ws.on('error', () => undefined);
    const connection = registry.add(ws, request);
    if (connection !== null) ws.on('message', (data: unknown) => protocol.receive(connection, String(data)));
  });

  const stats = (): MemorySafeServerStats => ({
    connections: registry.getStats(),
    rooms: rooms.size,
    memory: processMemory(),
    uptimeSeconds: Math.round(process.uptime()),
  });
  const statsServer = createStatsServer(stats);
  const { statsPort = STATS_PORT } = options;
  return {
    wss,
    registry,
    rooms,
    listening: Promise.all([
      listen(server, options.port ?? PORT, options.host),
      statsPort === null ? null : listen(statsServer, statsPort, '127.0.0.1'),
    ]).then(([port, openStatsPort]) => ({ port, statsPort: openStatsPort })),
    stats,
    async close() {
      endGuard();
      statsServer.close();
      const result = await drain([wss, server], options);
      endHeartbeat();
      registry.close();
      rooms.close();
      return result;
    },
  };
}

/** Loaded with the first server, so that the other remedies work without ws. */
function requireWs(): WebSocketServerClass {
  const { WebSocketServer } = require('ws') as { WebSocketServer: WebSocketServerClass };
  return WebSocketServer;
}

function listen(server: Server, port: number, host?: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, host }, () => {
      server.off('error', reject);
      resolve((server.address() as AddressInfo).port);
    });
  });
}

const createStatsServer = (stats: () => MemorySafeServerStats): Server =>
  createServer((request, response) => {
    if (request.method !== 'GET' || request.url !== '/stats') return response.writeHead(404).end();
    return response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(stats()));
  });

interface RoomRequest {
  readonly type?: unknown;
  readonly room?: unknown;
  readonly data?: unknown;
}

/** Handles the messages of the clients. */
class RoomProtocol {
  readonly #rooms: Rooms<Connection>;
  readonly #options: MemorySafeServerOptions;

  constructor(rooms: Rooms<Connection>, options: MemorySafeServerOptions) {
    this.#rooms = rooms;
    this.#options = options;
  }

  receive(connection: Connection, text: string): void {
    const { type, room, data } = parseRequest(text);
    if (type === 'ping') return this.#send(connection, { type: 'pong' });
    if (typeof room !== 'string' || room === '' || room.length > MAX_ROOM_NAME_LENGTH) {
      return this.#send(connection, { type: 'error', error: 'expected a JSON object with type and room' });
    }
    if (type === 'join') return this.#join(connection, room);
    if (type === 'leave') return this.#rooms.leave(room, connection);
    if (type === 'room-message') return this.#broadcast(connection, room, data);
    return this.#send(connection, { type: 'error', error: 'unknown type' });
  }

  #join(connection: Connection, room: string): void {
    const { maxRoomsPerConnection = MAX_ROOMS_PER_CONNECTION } = this.#options;
    if (connection.rooms.size >= maxRoomsPerConnection && !connection.rooms.has(room)) {
      return this.#send(connection, { type: 'error', error: 'too many rooms' });
    }
    return this.#rooms.join(room, connection);
  }

  #broadcast(connection: Connection, room: string, data: unknown): void {
    if (!connection.rooms.has(room)) return;
    const text = JSON.stringify({ type: 'room-message', room, from: connection.id, data });
    for (const member of this.#rooms.members(room)) {
      if (member !== connection) safeSend(member.ws, text, this.#options);
    }
  }

  #send(connection: Connection, message: object): void {
    safeSend(connection.ws, JSON.stringify(message), this.#options);
  }
}

function parseRequest(text: string): RoomRequest {
  try {
    const request: unknown = JSON.parse(text);
    return typeof request === 'object' && request !== null ? request : {};
  } catch {
    return {};
  }
}
