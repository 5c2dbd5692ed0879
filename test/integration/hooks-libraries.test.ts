import {
  createServer,
  get,
  ServerResponse,
  type ClientRequest,
  type RequestListener,
  type RequestOptions,
  type Server,
} from 'node:http';
import { createServer as createSecureServer, get as getSecure } from 'node:https';
import { createHash } from 'node:crypto';
import { buildSync } from 'esbuild';
import { createRequire } from 'node:module';
import type { Socket } from 'node:net';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Server as SocketIo } from 'socket.io';
import { io } from 'socket.io-client';
import { WebSocket, WebSocketServer } from 'ws';
import type { Transport } from '../../src/types/index.ts';
import { makeCertificate } from '../support/certificate.ts';
import { listen, startSampling, type Sampling } from '../support/sampling.ts';

/** A client that is connected until `leave`. */
interface Client {
  leave(): void;
}
interface Library {
  readonly transport: Transport;
  /** Starts a server; resolves with its port. */
  serve(): Promise<{ port: number; close(): void }>;
  client(port: number): Promise<Client>;
  /** Name of the registry that the agent finds by itself, where there is one. */
  readonly registry?: string;
}

const onHttp = async (server: Server): Promise<{ port: number; close(): void }> => ({
  port: await listen(server),
  close: () => {
    server.close();
    server.closeAllConnections();
  },
});

function wsClient(port: number, scheme = 'ws'): Promise<Client> {
  const ws = new WebSocket(`${scheme}://127.0.0.1:${port}/`, { rejectUnauthorized: false });
  return new Promise((resolve, reject) => {
    ws.on('error', reject);
    ws.on('open', () => resolve({ leave: () => ws.terminate() }));
  });
}

const sseClient = (port: number, from: typeof get = get): Promise<Client> =>
  new Promise((resolve) => {
    const request: ClientRequest = from(
      { host: '127.0.0.1', port, agent: false, rejectUnauthorized: false } as RequestOptions,
      (response) => {
        response.resume().on('error', () => undefined);
        resolve({ leave: () => request.destroy() });
      },
    );
    request.on('error', () => undefined);
  });

const ioClient = (port: number, transport: 'polling' | 'websocket'): Promise<Client> =>
  new Promise((resolve, reject) => {
    const client = io(`http://127.0.0.1:${port}`, {
      transports: [transport],
      upgrade: false,
      forceNew: true,
      reconnection: false,
    });
    client.on('connect_error', reject);
    client.on('connect', () => resolve({ leave: () => client.disconnect() }));
  });

const serveSocketIo = async (): Promise<{ port: number; close(): void }> => {
  const server = createServer();
  const socketIo = new SocketIo(server);
  const port = await listen(server);
  return { port, close: () => void socketIo.close() };
};

const wsOf =
  (name: string, options: object = {}) =>
  async () => {
    const server = createServer();
    const library = createRequire(__filename)(name) as { Server: typeof WebSocketServer };
    const wss = new library.Server({ server, ...options });
    const serving = await onHttp(server);
    return {
      port: serving.port,
      close: () => {
        wss.close();
        serving.close();
      },
    };
  };

const bundled = (code: string): ((create: typeof createServer) => Server) => {
  const outfile = join(mkdtempSync(join(tmpdir(), 'wsguard-bundle-')), 'server.cjs');
  buildSync({
    stdin: { contents: code, resolveDir: __dirname },
    bundle: true,
    minify: true,
    platform: 'node',
    outfile,
    logLevel: 'silent',
    external: ['bufferutil', 'utf-8-validate'],
  });
  return (createRequire(__filename)(outfile) as { make: (create: typeof createServer) => Server }).make;
};

const eventStream = (_request: unknown, response: import('node:http').ServerResponse): void => {
  response.writeHead(200, { 'Content-Type': 'text/event-stream' });
  response.write('data: hello\n\n');
};

const LIBRARIES: Record<string, Library> = {
  'ws 8': { transport: 'websocket', serve: wsOf('ws'), client: wsClient, registry: 'ws clients' },
  'ws 7': { transport: 'websocket', serve: wsOf('ws7'), client: wsClient, registry: 'ws clients' },
  'ws 6': { transport: 'websocket', serve: wsOf('ws6'), client: wsClient, registry: 'ws clients' },
  'ws without client tracking': {
    transport: 'websocket',
    serve: wsOf('ws', { clientTracking: false }),
    client: wsClient,
  },
  'ws with permessage-deflate': {
    transport: 'websocket',
    serve: wsOf('ws', { perMessageDeflate: true }),
    client: wsClient,
    registry: 'ws clients',
  },
  'ws in a minified bundle': {
    transport: 'websocket',
    serve: () =>
      onHttp(
        bundled(`
          const { WebSocketServer } = require('ws');
          exports.make = (create) => {
            const server = create();
            new WebSocketServer({ server });
            return server;
          };`)(createServer),
      ),
    client: wsClient,
    registry: 'ws clients',
  },
  'ws over TLS': {
    transport: 'websocket',
    serve: async () => {
      const server = createSecureServer(makeCertificate().pem);
      const wss = new WebSocketServer({ server });
      const serving = await onHttp(server);
      return {
        port: serving.port,
        close: () => {
          wss.close();
          serving.close();
        },
      };
    },
    client: (port) => wsClient(port, 'wss'),
    registry: 'ws clients',
  },
  // @fastify/websocket sends an upgrade through the routes of requests, with a response.
  'ws behind a router that gives upgrades a response': {
    transport: 'websocket',
    serve: () => {
      const wss = new WebSocketServer({ noServer: true });
      const server = createServer();
      server.on('upgrade', (request, socket: Socket, head) => {
        new ServerResponse(request).assignSocket(socket);
        wss.handleUpgrade(request, socket, head, () => undefined);
      });
      return onHttp(server);
    },
    client: wsClient,
  },
  'Socket.IO by WebSocket': {
    transport: 'websocket',
    serve: serveSocketIo,
    client: (port) => ioClient(port, 'websocket'),
    registry: 'engine.io clients',
  },
  'Socket.IO by polling': {
    transport: 'polling',
    serve: serveSocketIo,
    client: (port) => ioClient(port, 'polling'),
    registry: 'engine.io clients',
  },
  'SSE by plain http': {
    transport: 'sse',
    serve: () => onHttp(createServer(eventStream)),
    client: sseClient,
  },
  'SSE over TLS': {
    transport: 'sse',
    serve: () => onHttp(createSecureServer(makeCertificate().pem, eventStream)),
    client: (port) => sseClient(port, getSecure),
  },
  'SSE by express': {
    transport: 'sse',
    serve: () => {
      const express = createRequire(__filename)('express') as () => RequestListener & {
        get(path: string, handler: RequestListener): void;
      };
      const app = express();
      app.get('/', (_request, response) => {
        response.setHeader('content-type', 'text/event-stream; charset=utf-8');
        response.flushHeaders();
      });
      return onHttp(createServer(app));
    },
    client: sseClient,
  },
  'the package websocket': {
    transport: 'upgraded',
    serve: () => {
      const server = createServer();
      const { server: Library } = createRequire(__filename)('websocket') as {
        server: new (options: object) => unknown;
      };
      void new Library({ httpServer: server, autoAcceptConnections: true });
      return onHttp(server);
    },
    client: wsClient,
    registry: 'websocket connections',
  },
  faye: {
    transport: 'upgraded',
    serve: () => {
      const Faye = createRequire(__filename)('faye-websocket') as new (...args: unknown[]) => unknown;
      const server = createServer();
      server.on('upgrade', (...args) => void new Faye(...args));
      return onHttp(server);
    },
    client: wsClient,
  },
  sockjs: {
    transport: 'upgraded',
    serve: () => {
      const sockjs = createRequire(__filename)('sockjs') as {
        createServer(options: object): { installHandlers(server: Server, options: object): void };
      };
      const server = createServer();
      sockjs.createServer({ log: () => undefined }).installHandlers(server, { prefix: '/echo' });
      return onHttp(server);
    },
    client: (port) => {
      const ws = new WebSocket(`ws://127.0.0.1:${port}/echo/websocket`);
      return new Promise((resolve, reject) => {
        ws.on('error', reject);
        ws.on('open', () => resolve({ leave: () => ws.terminate() }));
      });
    },
  },
  'an upgrade by hand': {
    transport: 'upgraded',
    serve: () => {
      const server = createServer();
      server.on('upgrade', (request, socket) => {
        const accept = createHash('sha1')
          .update(`${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
          .digest('base64');
        socket.write(
          `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
        );
        socket.on('error', () => undefined);
        socket.on('end', () => socket.end());
        socket.resume();
      });
      return onHttp(server);
    },
    client: wsClient,
  },
};

describe.each(Object.entries(LIBRARIES))('%s', (_name, library) => {
  let sampling: Sampling;
  afterEach(() => sampling.sampler.stop());

  test('connections are counted when they open and when they close', async () => {
    sampling = startSampling();
    const server = await library.serve();
    expect(sampling.served()).toBe(1);
    const clients = await Promise.all(Array.from({ length: 5 }, () => library.client(server.port)));
    const opened = await sampling.until(
      '5',
      ({ connections }) => connections.active[library.transport] === 5,
    );
    expect(opened.connections.openedTotal).toEqual({ ...NONE, [library.transport]: 5 });
    if (library.registry !== undefined) {
      expect(opened.registries).toContainEqual({ name: library.registry, entries: 5, source: 'found' });
    }
    clients[0]?.leave();
    clients[1]?.leave();
    const closed = await sampling.until(
      '3',
      ({ connections }) => connections.active[library.transport] === 3,
    );
    expect(closed.connections.closedTotal).toEqual({ ...NONE, [library.transport]: 2 });
    expect(closed.connections.unanswering).toBe(0);
    for (const client of clients.slice(2)) client.leave();
    await sampling.until('none', ({ connections }) => connections.active[library.transport] === 0);
    server.close();
    expect(sampling.guard.faults()).toEqual({});
  });
});

const NONE = { websocket: 0, sse: 0, polling: 0, upgraded: 0 };
