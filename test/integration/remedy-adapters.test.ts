/** `fanout` in two Socket.IO processes that also use an official Redis adapter, on the same Redis client. */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { io as connectSocketIo, type Socket } from 'socket.io-client';
import { describeWith, startComponent, type Redis as RedisComponent } from '../support/components.ts';
import { eventuallyPasses } from '../support/eventually.ts';

const SERVER = join(__dirname, '..', 'support', 'adapter-server.cjs');
const MESSAGES_PER_PROCESS = 200;

interface Report {
  readonly keys: number;
  readonly connections: number;
  readonly errors: number;
  readonly delivered: number;
  readonly rooms: number;
}

describeWith(['redis'], 'fanout beside the Redis adapters of Socket.IO', () => {
  let redis: RedisComponent;
  let observer: Redis;
  const children: ChildProcess[] = [];
  beforeAll(async () => {
    redis = await startComponent('redis');
    observer = new Redis(redis.url);
  });
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
  });
  afterAll(async () => {
    observer.disconnect();
    await redis.stop();
  });

  async function startServer(adapter: string, library: string) {
    const child = fork(SERVER, [adapter, library], { env: { ...process.env, REDIS_URL: redis.url } });
    children.push(child);
    const [{ port }] = (await once(child, 'message')) as [{ port: number }];
    const send = (command: string, text = ''): void => void child.send({ command, text });
    async function report(): Promise<Report> {
      send('report');
      return ((await once(child, 'message')) as [{ report: Report }])[0].report;
    }
    return { child, port, send, report };
  }
  async function connectClient(port: number) {
    const socket: Socket = connectSocketIo(`http://127.0.0.1:${port}`, { transports: ['websocket'] });
    const received: Record<'broadcast' | 'position', string[]> = { broadcast: [], position: [] };
    for (const event of ['broadcast', 'position'] as const) {
      socket.on(event, (text: string) => received[event].push(text));
    }
    await new Promise((resolve) => socket.once('connect', () => resolve(null)));
    return { socket, received };
  }
  const otherRedisClients = async (): Promise<number> =>
    String(await observer.client('LIST'))
      .trim()
      .split('\n').length - 1;

  test.each([
    ['redis-adapter', 'ioredis'],
    ['redis-adapter', 'redis'],
    ['redis-streams-adapter', 'ioredis'],
    ['redis-streams-adapter', 'redis'],
  ])('%s with %s: each message arrives once at each client of both processes', async (adapter, library) => {
    const servers = [await startServer(adapter, library), await startServer(adapter, library)] as const;
    const clients = await Promise.all(servers.map(({ port }) => connectClient(port)));
    await eventuallyPasses(async () => {
      const counts = (await observer.pubsub('NUMSUB', 'ws:fanout:fleet')) as [string, number];
      expect(counts[1]).toBe(2);
    });
    // The adapters know of each other only after their first exchange: wait until both directions work.
    await eventuallyPasses(() => {
      servers[0].send('broadcast', 'warm-up 0');
      servers[1].send('broadcast', 'warm-up 1');
      for (const { received } of clients)
        expect(new Set(received.broadcast)).toEqual(new Set(['warm-up 0', 'warm-up 1']));
    });

    const sent: string[] = [];
    for (let n = 0; n < MESSAGES_PER_PROCESS; n += 1) {
      for (const [index, { send }] of servers.entries()) {
        sent.push(`${index}.${n}`);
        send('broadcast', `${index}.${n}`);
        send('publish', `${index}.${n}`);
      }
    }
    const ofTest = (texts: readonly string[]): string[] =>
      texts.filter((text) => !text.startsWith('warm-up')).toSorted();
    await eventuallyPasses(() => {
      for (const { received } of clients) {
        expect(ofTest(received.broadcast).length).toBeGreaterThanOrEqual(sent.length);
        expect(received.position.length).toBeGreaterThanOrEqual(sent.length);
      }
    });
    for (const { received } of clients) {
      expect(ofTest(received.broadcast)).toEqual(sent.toSorted());
      expect(received.position.toSorted()).toEqual(sent.toSorted());
    }

    for (const { socket } of clients) socket.disconnect();
    for (const { report } of servers) {
      await eventuallyPasses(async () =>
        expect(await report()).toMatchObject({ keys: 0, connections: 0, errors: 0, rooms: 0 }),
      );
    }
    const exits = servers.map(({ child }) => once(child, 'exit'));
    for (const { send } of servers) send('close');
    // A timer or socket that was left open would keep the process alive.
    expect(await Promise.all(exits)).toEqual([
      [0, null],
      [0, null],
    ]);
    await eventuallyPasses(async () => expect(await otherRedisClients()).toBe(0));
    expect([await observer.pubsub('CHANNELS'), await observer.pubsub('NUMPAT')]).toEqual([[], 0]);
  });
});
