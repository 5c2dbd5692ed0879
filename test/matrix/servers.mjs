// The servers of the coverage matrix: their clients, the transport as which the agent counts them, and what it cannot see.
import { connectHttp2, connectIo, connectSse, connectWebSocket, connectWithGreeting } from './clients.mjs';

const ws = (path = '/', protocol) => ({
  transport: 'websocket',
  connect: (port) => connectWebSocket(port, { path, protocol }),
});
const upgraded = (path = '/') => ({ ...ws(path), transport: 'upgraded' });
const sse = (path = '/') => ({ transport: 'sse', connect: (port) => connectSse(port, path) });
const io = (transport) => ({ transport, connect: (port) => connectIo(port, transport) });
const tls = (port) => connectWebSocket(port, { scheme: 'wss' });

/** Title, then the file in fixtures/matrix/servers. */
export const SERVERS = [
  { title: 'ws 8', file: 'ws-8', ...ws() },
  { title: 'ws 7', file: 'ws-7', ...ws() },
  { title: 'ws 6', file: 'ws-6', ...ws() },
  { title: 'ws, `noServer`, no client tracking, compression', file: 'ws-no-server', ...ws() },
  { title: 'ws over TLS', file: 'ws-tls', transport: 'websocket', connect: tls },
  {
    title: 'ws on an HTTP/2 server (`allowHTTP1`)',
    file: 'ws-http2-allow-http1',
    transport: 'websocket',
    connect: tls,
  },
  { title: 'express-ws', file: 'express-ws', ...ws() },
  { title: '@fastify/websocket', file: 'fastify-websocket', ...ws() },
  {
    title: 'graphql-ws',
    file: 'graphql-ws',
    transport: 'websocket',
    connect: (port) => connectWithGreeting(port, { type: 'connection_init' }, 'graphql-transport-ws'),
  },
  { title: 'y-websocket', file: 'y-websocket', ...ws('/room') },
  { title: 'Socket.IO, WebSocket', file: 'socket-io', ...io('websocket') },
  { title: 'Socket.IO, long polling', file: 'socket-io', ...io('polling') },
  { title: 'engine.io', file: 'engine-io', ...ws('/engine.io/?EIO=4&transport=websocket') },
  {
    title: 'socketcluster-server',
    file: 'socketcluster',
    transport: 'websocket',
    connect: (port) => connectWithGreeting(port, { event: '#handshake', data: {}, cid: 1 }),
  },
  // Nest 12 loads the ws driver through `import.meta.url`, which a bundle in CommonJS does not have: it ends without the agent too.
  { title: 'Nest, ws', file: 'nest-ws', ...ws(), cannotBe: 'CommonJS bundle' },
  { title: 'Nest, Socket.IO', file: 'nest-socket-io', ...io('websocket') },
  { title: 'Hono, WebSocket', file: 'hono-websocket', ...ws() },
  { title: 'websocket', file: 'websocket', ...upgraded() },
  { title: 'faye-websocket', file: 'faye-websocket', ...upgraded() },
  { title: 'sockjs', file: 'sockjs', ...upgraded('/echo/websocket') },
  { title: 'an upgrade by hand', file: 'upgrade-by-hand', ...upgraded() },
  { title: 'SSE, plain http', file: 'sse-http', ...sse() },
  { title: 'SSE, express', file: 'sse-express', ...sse() },
  { title: 'SSE, Fastify', file: 'sse-fastify', ...sse() },
  { title: 'SSE, Koa', file: 'sse-koa', ...sse() },
  { title: 'SSE, better-sse', file: 'better-sse', ...sse() },
  { title: 'SSE, Hono', file: 'sse-hono', ...sse() },
  { title: 'SSE, Nest', file: 'nest-sse', ...sse() },
  // The agent counts none of these connections, and its start line says so.
  {
    title: 'SSE over HTTP/2',
    file: 'sse-http2',
    transport: null,
    unseen: 'HTTP/2 streams',
    connect: connectHttp2,
  },
];
