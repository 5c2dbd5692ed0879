/** The load clients behave as named: fixtures/apps needs real frozen, slow and disconnecting peers. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { WebSocketServer, type WebSocket } from 'ws';
import { startClients, waitFor, type Clients } from '../support/lab.ts';
import { describeWith, startComponent } from '../support/components.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function serve(): Promise<{ wss: WebSocketServer; port: number }> {
  const wss = new WebSocketServer({ port: 0 });
  await new Promise((resolve) => wss.once('listening', resolve));
  cleanups.push(() => {
    for (const client of wss.clients) client.terminate();
    wss.close();
  });
  return { wss, port: (wss.address() as AddressInfo).port };
}

function clients(...[port, load]: Parameters<typeof startClients>): Clients {
  const started = startClients(port, load);
  cleanups.push(() => started.stop());
  return started;
}

const pongs = (sockets: Iterable<WebSocket>, count: { n: number }): void => {
  for (const socket of sockets) socket.on('pong', () => (count.n += 1)).ping();
};

test('steady clients reply to pings, frozen clients stay open without a reply, and the kernel closes killed clients', async () => {
  const { wss, port } = await serve();
  const load = clients(port, { behaviour: 'freeze', count: 3, rate: 20, batch: 2, max: 4 });
  await load.waitForState(({ open, frozen }) => open === 3 && frozen === 4);
  expect(wss.clients.size).toBe(7);
  const replies = { n: 0 };
  pongs(wss.clients, replies);
  await waitFor(() => replies.n === 3);
  // A second round shows that no reply to the first was late.
  pongs(wss.clients, replies);
  await waitFor(() => replies.n >= 9);
  expect(replies.n).toBe(9);
  await load.stop();
  await waitFor(() => wss.clients.size === 0);
});

test('churn opens and closes connections around its count', async () => {
  const { wss, port } = await serve();
  const load = clients(port, { behaviour: 'churn', count: 5, rate: 50 });
  const state = await load.waitForState(({ opened }) => opened > 60);
  expect(state.closed).toBeGreaterThan(40);
  expect(state.failed).toBe(0);
  await waitFor(() => wss.clients.size < 30);
});

test('slow clients read one message per period, however many the server sends', async () => {
  const { wss, port } = await serve();
  const message = Buffer.alloc(300_000);
  let sent = 0;
  wss.on('connection', (socket) => {
    const timer = setInterval(() => {
      sent += 1;
      socket.send(message);
    }, 10);
    socket.on('close', () => clearInterval(timer));
  });
  const load = clients(port, { behaviour: 'slow', count: 1, every: 200 });
  const backlog = (): number => [...wss.clients][0]?.bufferedAmount ?? 0;
  await waitFor(() => backlog() > 20 * message.length);
  const { received } = await load.waitForState((state) => state.received > 0);
  expect(received).toBeLessThan(sent - 20);
});

test('server-sent events and Socket.IO polling', async () => {
  const { Server } = await import('socket.io');
  const http = createServer((_, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write('data: 1\n\n');
  });
  const io = new Server(http);
  const transports: string[] = [];
  io.on('connection', (socket) => transports.push(socket.conn.transport.name));
  await new Promise<void>((resolve) => http.listen(0, resolve));
  cleanups.push(() => io.close());
  const { port } = http.address() as AddressInfo;
  await clients(port, { behaviour: 'steady', transport: 'sse', count: 3 }).waitForState(
    ({ open, received }) => open === 3 && received === 3,
  );
  await clients(port, { behaviour: 'steady', transport: 'polling', count: 2 }).waitForState(
    ({ open }) => open === 2,
  );
  expect(transports).toEqual(['polling', 'polling']);
});

describeWith(['netns'], 'in a network that is cut', () => {
  test('the server keeps connections open whose clients were killed without a FIN', async () => {
    const net = await startComponent('netns');
    cleanups.push(() => net.stop());
    const { spawn } = await import('node:child_process');
    const code = `const wss = new (require('ws').WebSocketServer)({ port: 9000 }); setInterval(() => console.log(wss.clients.size), 50)`;
    const [command, ...args] = [...net.prefix('server'), process.execPath, '-e', code];
    const server = spawn(command as string, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    cleanups.push(() => server.kill('SIGKILL'));
    let open = '';
    server.stdout.on('data', (chunk: Buffer) => (open = chunk.toString().trim().split('\n').at(-1) ?? ''));
    await waitFor(() => open === '0');
    const load = clients(9000, {
      behaviour: 'steady',
      count: 4,
      host: net.serverIp,
      prefix: net.prefix('client'),
    });
    await waitFor(() => open === '4');
    await net.cut();
    await load.stop();
    await expect(waitFor(() => open !== '4', { deadlineMs: 2000 })).rejects.toThrow('not within');
    expect(open).toBe('4');
  });
});
