import { createClock } from '../../src/core/clock.ts';
import { EventEmitter, once } from 'node:events';
import { Agent, createServer, get, type IncomingMessage } from 'node:http';
import { PassThrough } from 'node:stream';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Server as SocketIo } from 'socket.io';
import { io } from 'socket.io-client';
import { WebSocket, WebSocketServer } from 'ws';
import { startPrometheusServer } from '../../src/export/prometheus-server.ts';
import type { EmitterReading, Sample } from '../../src/types/index.ts';
import { eventually } from '../support/eventually.ts';
import { listen, muteClient, startSampling, type Sampling } from '../support/sampling.ts';

let sampling: Sampling;
const open: { close(): unknown }[] = [];
afterEach(() => {
  sampling.sampler.stop();
  for (const thing of open.splice(0)) thing.close();
});

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Three major GCs with turns of the event loop between them, and a reading after each. */
async function collectThrice(): Promise<Sample> {
  let sample = sampling.sampler.read();
  for (let i = 0; i < 3; i += 1) {
    for (let turns = 0; turns < 5; turns += 1) await turn();
    collect();
    sample = sampling.sampler.read();
  }
  return sample;
}

async function serve(onConnection: (ws: WebSocket) => void): Promise<number> {
  const server = createServer();
  const wss = new WebSocketServer({ server });
  wss.on('connection', onConnection);
  open.push(wss, server, { close: () => server.closeAllConnections() });
  return listen(server);
}
/** Connects clients one after the other; each leaves at once. */
async function connectAndLeave(
  port: number,
  count: number,
  leave = (ws: WebSocket) => ws.close(1000),
): Promise<void> {
  for (let i = 0; i < count; i += 1) {
    const ws = new WebSocket(`ws://127.0.0.1:${port}`);
    await once(ws, 'open');
    leave(ws);
    await once(ws, 'close');
  }
}
const rowOf = (sample: Sample, emitter: string, event: string): EmitterReading | undefined =>
  sample.emitters.find((row) => row.emitter === emitter && row.event === event);

test('closed connections that the application keeps are retained, the others are not', async () => {
  sampling = startSampling({ timeScale: 10_000 });
  const kept: WebSocket[] = [];
  let seen = 0;
  const port = await serve((ws) => {
    if (seen++ % 4 === 0) kept.push(ws);
  });
  await connectAndLeave(port, 40);
  await sampling.until('all closed', ({ connections }) => connections.closedTotal.websocket === 40);
  const collectUntil = (retained: number): Promise<Sample> =>
    eventually(async () => {
      const seen = await collectThrice();
      return seen.connections.retained === retained ? seen : null;
    }, `${retained} retained`);
  await collectUntil(10);
  kept.length = 0;
  const sample = await collectUntil(0);
  expect(sample.connections.uncollected).toBe(0);
});

test('there is no number of retained connections before two major GCs', async () => {
  sampling = startSampling({ timeScale: 10_000 });
  const { majorTotal } = sampling.sampler.read().gc;
  const port = await serve(() => undefined);
  await connectAndLeave(port, 2);
  const { gc, connections } = sampling.sampler.read();
  // V8 may run GCs by itself in the meantime.
  const majorGcs = gc.majorTotal - majorTotal;
  expect(connections.retained === null || majorGcs >= 2).toBe(true);
});

test('close codes: registered codes as they are, and one label for each range that clients choose', async () => {
  sampling = startSampling();
  const port = await serve(() => undefined);
  await connectAndLeave(port, 2, (ws) => ws.close(1000));
  await connectAndLeave(port, 1, (ws) => ws.close(3456));
  await connectAndLeave(port, 1, (ws) => ws.close(4001));
  await connectAndLeave(port, 1, (ws) => ws.close(4999));
  await connectAndLeave(port, 1, (ws) => ws.terminate());
  await connectAndLeave(port, 1, (ws) => ws.close());
  const sample = await sampling.until(
    '7 closed',
    ({ connections }) => connections.closedTotal.websocket === 7,
  );
  expect(sample.connections.closeCodes).toEqual({ 1000: 2, 1005: 1, 1006: 1, '3xxx': 1, '4xxx': 2 });
});

test('messages of the server are counted, those of a client in the same process are not', async () => {
  sampling = startSampling();
  let peer: WebSocket | null = null;
  const port = await serve((ws) => (peer = ws));
  const client = new WebSocket(`ws://127.0.0.1:${port}`);
  await once(client, 'open');
  await sampling.until('the connection', ({ connections }) => connections.active.websocket === 1);
  const server = peer as unknown as WebSocket;
  const received = once(client, 'message');
  client.send('from a client');
  server.send('one');
  server.send(Buffer.from('two'), { binary: true }, () => undefined);
  await received;
  client.terminate();
  await once(server, 'close');
  const failure = new Promise((resolve) => server.send('too late', resolve));
  expect(await failure).toBeInstanceOf(Error);
  const { connections } = sampling.sampler.read();
  expect(connections).toMatchObject({ messagesSentTotal: 2, messagesFailedTotal: 1 });
});

test('an emitter without a listener limit is found', () => {
  sampling = startSampling();
  const bus = new EventEmitter();
  bus.setMaxListeners(0);
  for (let i = 0; i < 40; i += 1) bus.on('price', () => undefined);
  const sample = sampling.sampler.read();
  expect(rowOf(sample, 'EventEmitter', 'price')).toMatchObject({ listeners: 40, source: 'found' });
  expect(rowOf(sample, 'EventEmitter', '*')).toMatchObject({ listeners: 40, eventNames: 1 });
});

test('an emitter with an event name per user has their sum and the number of names', () => {
  sampling = startSampling();
  class Feed extends EventEmitter {}
  const feed = new Feed();
  for (let id = 0; id < 3_000; id += 1) feed.on(`user:${id}`, () => undefined);
  const sample = sampling.sampler.read();
  expect(rowOf(sample, 'Feed', '*')).toMatchObject({ listeners: 3_000, eventNames: 3_000 });
});

test('defaultMaxListeners = 0 is reported, because Node then warns about no emitter', () => {
  sampling = startSampling();
  const before = EventEmitter.defaultMaxListeners;
  try {
    EventEmitter.defaultMaxListeners = 0;
    const bus = new EventEmitter();
    for (let i = 0; i < 30; i += 1) bus.on('tick', () => undefined);
    const sample = sampling.sampler.read();
    expect(rowOf(sample, 'EventEmitter', 'tick')?.listeners).toBe(30);
    expect(sample.blind.map(({ why }) => why).join()).toContain('defaultMaxListeners is 0');
  } finally {
    EventEmitter.defaultMaxListeners = before;
  }
});

test('http servers, WebSocket servers, engines and the process are always shown', async () => {
  sampling = startSampling();
  const server = createServer();
  const socketIo = new SocketIo(server);
  const wss = new WebSocketServer({ noServer: true });
  open.push(wss, { close: () => void socketIo.close() });
  await listen(server);
  const names = sampling.sampler.read().emitters.map(({ emitter }) => emitter);
  expect(names).toEqual(expect.arrayContaining(['process', 'http server', 'engine.io', 'ws']));
});

test('rooms of Socket.IO and their members are found', async () => {
  sampling = startSampling();
  const server = createServer();
  const socketIo = new SocketIo(server, { transports: ['websocket'] });
  open.push({ close: () => void socketIo.close() });
  socketIo.on('connection', (socket) => void socket.join(['lobby', `user:${socket.id}`]));
  const port = await listen(server);
  const clients = Array.from({ length: 3 }, () =>
    io(`http://127.0.0.1:${port}`, { transports: ['websocket'], forceNew: true, reconnection: false }),
  );
  open.push({ close: () => clients.forEach((client) => client.disconnect()) });
  await Promise.all(clients.map((client) => new Promise<void>((resolve) => client.on('connect', resolve))));
  // Each socket is in three rooms: its own, the lobby, and that of its user.
  const sample = await sampling.until('7 rooms', ({ rooms }) =>
    rooms.some(({ rooms: count }) => count === 7),
  );
  expect(sample.rooms).toEqual([{ name: 'socket.io /', rooms: 7, members: 9, source: 'found' }]);
  // `sids` of the adapter has the same rooms by member, and is not a registry.
  expect(sample.registries.map(({ name }) => name).toSorted()).toEqual([
    'engine.io clients',
    'socket.io / sockets',
  ]);
});

test('registered registries, queues, rooms and emitters are read, held weakly, until their Dispose', async () => {
  sampling = startSampling();
  const { sampler } = sampling;
  const byId = new Map([[1, 'a']]);
  const stopMap = sampler.watchRegistry('by id', byId);
  sampler.watchRegistry('counted', () => 42);
  const watchQueue = (): void => void sampler.watchQueue('jobs', new Array(3), { oldestAgeMs: () => 500 });
  watchQueue();
  sampler.watchRooms(
    'rooms',
    new Map([
      ['lobby', new Set([1, 2])],
      ['empty', new Set()],
    ]),
  );
  const bus = new EventEmitter().on('x', () => undefined);
  sampler.watchEmitter('bus', bus);
  const sample = sampler.read();
  expect(sample.registries).toEqual([
    { name: 'by id', entries: 1, source: 'app' },
    { name: 'counted', entries: 42, source: 'app' },
  ]);
  expect(sample.queues).toEqual([{ name: 'jobs', items: 3, oldestAgeMs: 500, source: 'app' }]);
  expect(sample.rooms).toEqual([{ name: 'rooms', rooms: 2, members: 2, source: 'app' }]);
  expect(rowOf(sample, 'bus', '*')).toMatchObject({ listeners: 1, source: 'app' });
  stopMap();
  expect(sampler.read().registries.map(({ name }) => name)).toEqual(['counted']);
  await eventually(async () => ((await collectThrice()).queues.length === 0 ? true : null), 'no queue');
});

test('a wrong argument is thrown at the call, with a code', () => {
  sampling = startSampling();
  const { sampler } = sampling;
  const code = 'WSGUARD_WATCH_ARGUMENT';
  const codeOf = (call: () => unknown): unknown => {
    try {
      return call();
    } catch (error) {
      return (error as { code?: string }).code;
    }
  };
  expect(codeOf(() => sampler.watchRegistry('plain', {} as never))).toBe(code);
  expect(codeOf(() => sampler.watchRegistry('', new Map()))).toBe(code);
  expect(codeOf(() => sampler.watchRooms('rooms', [] as never))).toBe(code);
  expect(codeOf(() => sampler.watchEmitter('bus', {} as never))).toBe(code);
  expect(codeOf(() => sampler.watchConnection({} as never))).toBe(code);
  expect(codeOf(() => sampler.watchConnection(new PassThrough(), { id: '' }))).toBe(code);
});

test('a function of the application that throws or returns no number has no row', () => {
  sampling = startSampling();
  const { sampler, guard } = sampling;
  sampler.watchRegistry('throws', () => {
    throw new Error('from the application');
  });
  sampler.watchRegistry('returns NaN', () => Number.NaN);
  sampler.watchRegistry('works', () => 1);
  for (let i = 0; i < 8; i += 1) {
    expect(sampler.read().registries).toEqual([{ name: 'works', entries: 1, source: 'app' }]);
  }
  expect(guard.faults()).toEqual({ 'watched throws': 5, 'watched returns NaN': 5 });
});

test('a watched connection of any server is counted', async () => {
  sampling = startSampling();
  const { createServer: createTcp, connect } = await import('node:net');
  const server = createTcp();
  open.push(server);
  const accepted = once(server, 'connection');
  const port = await listen(server as never);
  const peer = connect(port, '127.0.0.1');
  const [socket] = (await accepted) as [import('node:net').Socket];
  const dispose = sampling.sampler.watchConnection(socket);
  await sampling.until('the connection', ({ connections }) => connections.active.upgraded === 1);
  dispose();
  expect(sampling.sampler.read().connections.active.upgraded).toBe(0);
  peer.destroy();
});

test('the ids of retained and unresponsive connections are in the reading', async () => {
  sampling = startSampling({ timeScale: 600 });
  const kept: WebSocket[] = [];
  const port = await serve((ws) => {
    sampling.sampler.watchConnection(ws as never, { id: `user ${kept.length}` });
    kept.push(ws);
  });
  await connectAndLeave(port, 1);
  const mute = await muteClient(port);
  open.push({ close: () => mute.destroy() });
  await sampling.until('unresponsive', ({ connections }) => connections.unanswering === 1);
  const sample = await eventually(async () => {
    const seen = await collectThrice();
    return seen.connections.retained === 1 ? seen : null;
  }, 'one retained');
  const ids = { unanswering: ['user 1'], slow: [], retained: ['user 0'] };
  expect(sample.connections.ids).toEqual(ids);
  expect(kept).toHaveLength(2);
});

test("the server of the agent's own metrics is not counted as a server of the application", async () => {
  sampling = startSampling();
  const page = await startPrometheusServer({
    clock: createClock(),
    host: '127.0.0.1',
    port: 0,
    metrics: [],
    readState: () => Promise.reject(new Error('no sample yet')),
    resource: {},
  });
  if (page.outcome !== 'listening') throw new Error(page.reason);
  open.push({ close: page.stop });
  const agent = new Agent({ keepAlive: true });
  open.push({ close: () => agent.destroy() });
  const [response] = (await once(get(page.url, { agent }), 'response')) as [IncomingMessage];
  await once(response.resume(), 'end');
  const { connections, emitters } = sampling.sampler.read();
  expect(connections.maxConnections).toBeNull();
  expect(emitters.map(({ emitter }) => emitter)).not.toContain('http server');
  expect(sampling.sampler.attached().servers).toEqual([]);
  expect(sampling.preloadHooks.sockets.open.size).toBe(0);
  expect(sampling.served()).toBe(0);
});
