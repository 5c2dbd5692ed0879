/** Collections that the agent discovers on real servers: each style of code keeps its connections in another place. */
import { createServer, type Server } from 'node:http';
import { WebSocket, WebSocketServer } from 'ws';
import { eventually } from '../support/eventually.ts';
import { listen, startSampling } from '../support/sampling.ts';

const serverOf = (http: Server): WebSocketServer => new WebSocketServer({ server: http });

/** Fields of a class that only arrow functions use. */
class Chat {
  readonly #clients: WebSocket[] = [];
  constructor(http: Server) {
    serverOf(http).on('connection', (ws) => {
      this.#clients.push(ws);
      ws.on('message', () => this.broadcast());
    });
  }
  broadcast(): void {
    for (const client of this.#clients) client.send('hi');
  }
}

class Hub {
  readonly connections: object[] = [];
  constructor(http: Server) {
    serverOf(http).on('connection', (ws) => this.connections.push(new Member(ws, this)));
  }
}
class Member {
  readonly ws: WebSocket;
  readonly hub: Hub;
  constructor(ws: WebSocket, hub: Hub) {
    this.ws = ws;
    this.hub = hub;
    ws.on('message', () => this.greet());
  }
  greet(): void {
    this.ws.send(String(this.hub.connections.length));
  }
}

function plainObject(http: Server): void {
  const players: Record<string, object> = {};
  let count = 0;
  serverOf(http).on('connection', () => {
    count += 1;
    players[`player-${count}`] = { x: 0, y: 0 };
  });
}

const store = (() => {
  const byId = new Map<number, object>();
  return { add: (ws: object) => byId.set(byId.size, ws) };
})();

test.each<[string, string | RegExp, (http: Server) => void]>([
  ['a class with arrow functions', /^array at hooks-discovery\.test\.ts:\d+$/, (http) => void new Chat(http)],
  ['a class whose entries refer back to it', 'Member.hub.connections', (http) => void new Hub(http)],
  ['a plain object', 'players', plainObject],
  ['a function that closes over its Map', 'byId', (http) => void serverOf(http).on('connection', store.add)],
])('%s: %s', async (_style, name, start) => {
  const { sampler } = startSampling();
  const http = createServer();
  start(http);
  const port = await listen(http);
  const clients: WebSocket[] = [];
  try {
    const connectAndRead = async () => {
      const ws = new WebSocket(`ws://127.0.0.1:${port}`);
      clients.push(ws);
      await new Promise((resolve) => ws.on('open', resolve));
      ws.send('hello');
      return sampler
        .read()
        .registries.find((row) => (typeof name === 'string' ? row.name === name : name.test(row.name)));
    };
    const found = await eventually(connectAndRead, `registry ${String(name)}`, 60_000);
    expect(found.source).toBe('found');
    expect(found.entries).toBeGreaterThan(2);
  } finally {
    for (const ws of clients) ws.terminate();
    http.close();
    sampler.stop();
  }
});
