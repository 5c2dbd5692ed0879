// Clients of the coverage matrix. Each function resolves with a client that is connected until `leave()`.
import { get } from 'node:http';
import { connect as connectSession } from 'node:http2';
import { io } from 'socket.io-client';
import { WebSocket } from 'ws';

export function connectWebSocket(port, { path = '/', scheme = 'ws', protocol } = {}) {
  const ws = new WebSocket(`${scheme}://127.0.0.1:${port}${path}`, protocol, { rejectUnauthorized: false });
  return new Promise((resolve, reject) => {
    ws.on('error', reject);
    ws.on('open', () => resolve({ leave: () => ws.terminate() }));
  });
}

/** For servers that close a connection whose first message does not come within seconds. Connected with the first reply. */
export function connectWithGreeting(port, greeting, protocol) {
  const ws = new WebSocket(`ws://127.0.0.1:${port}/`, protocol);
  return new Promise((resolve, reject) => {
    ws.on('error', reject);
    ws.on('open', () => ws.send(JSON.stringify(greeting)));
    ws.on('message', () => resolve({ leave: () => ws.terminate() }));
  });
}

export const connectSse = (port, path) =>
  new Promise((resolve, reject) => {
    const request = get({ host: '127.0.0.1', port, path, agent: false }, (response) => {
      response.resume().on('error', () => {});
      resolve({ leave: () => request.destroy() });
    });
    request.on('error', reject);
  });

export const connectIo = (port, transport) =>
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

export const connectHttp2 = (port) =>
  new Promise((resolve, reject) => {
    const session = connectSession(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
    session.on('error', reject);
    const stream = session.request({ ':path': '/' });
    stream.on('error', () => {});
    stream.on('data', () => resolve({ leave: () => session.destroy() }));
  });
