// Clients of an echo server: each sends one message after the other. `take` returns the round trips since the last call.
import { WebSocket } from 'ws';

const PAUSE_MS = 20;

const quantile = (ascending, share) =>
  ascending[Math.min(ascending.length - 1, Math.floor(ascending.length * share))] ?? null;

export function startClients(port, count) {
  let trips = [];
  const sockets = Array.from({ length: count }, () => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}`);
    let sentAtMs = 0;
    const send = () => {
      sentAtMs = performance.now();
      if (socket.readyState === WebSocket.OPEN) socket.send('ping');
    };
    socket.on('open', send);
    socket.on('message', () => {
      trips.push(performance.now() - sentAtMs);
      setTimeout(send, PAUSE_MS);
    });
    socket.on('error', () => undefined);
    return socket;
  });
  const take = () => {
    const ascending = trips.toSorted((a, b) => a - b);
    trips = [];
    return { p50: quantile(ascending, 0.5), p99: quantile(ascending, 0.99), max: ascending.at(-1) ?? null };
  };
  return { take, close: () => sockets.forEach((socket) => socket.terminate()) };
}
