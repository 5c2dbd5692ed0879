/** The fan-out through a real Redis, with both clients, two processes' worth of subscribers and a restart. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { Redis } from 'ioredis';
import { createClient } from 'redis';
import { WebSocket, WebSocketServer } from 'ws';
import {
  claimInRedis,
  fanout,
  type Fanout,
  type FanoutMessage,
  type RedisClientLike,
  type RedisSetLike,
} from '../../src/remedy/index.ts';
import { describeWith, startComponent, type Redis as RedisComponent } from '../support/components.ts';
import { eventuallyPasses } from '../support/eventually.ts';

interface OpenClient {
  readonly client: RedisClientLike & RedisSetLike;
  /** Names of the channels that somebody subscribes to. */
  readonly channels: () => Promise<string[]>;
  readonly end: () => unknown;
}

async function openClient(library: string, url: string): Promise<OpenClient> {
  if (library === 'ioredis') {
    // A command fails after two attempts to connect; the default is 20, which take about 10 s.
    const client = new Redis(url, { maxRetriesPerRequest: 2 });
    client.on('error', () => undefined);
    return {
      client,
      channels: async () => (await client.pubsub('CHANNELS')) as string[],
      end: () => client.disconnect(),
    };
  }
  const client = createClient({ url });
  client.on('error', () => undefined);
  await client.connect();
  return {
    client,
    channels: () => client.pubSubChannels(),
    end: () => client.destroy(),
  };
}

describeWith(['redis'], 'fanout', () => {
  let redis: RedisComponent;
  beforeAll(async () => {
    redis = await startComponent('redis');
  });
  afterAll(() => redis.stop());

  describe.each(['ioredis', 'redis'])('%s', (library) => {
    const ends: (() => unknown)[] = [];
    afterEach(async () => {
      for (const end of ends.splice(0).toReversed()) await end();
    });

    async function node(deliver?: (connection: unknown, message: string, context: FanoutMessage) => void) {
      const open = await openClient(library, redis.url);
      const bus: Fanout = fanout(open.client, deliver === undefined ? {} : { deliver });
      ends.push(open.end, () => bus.close());
      return { ...open, bus };
    }
    async function webSocketPair(): Promise<{ server: WebSocket; received: string[]; client: WebSocket }> {
      const wss = new WebSocketServer({ port: 0, host: '127.0.0.1' });
      await once(wss, 'listening');
      const connected = once(wss, 'connection') as Promise<[WebSocket]>;
      const client = new WebSocket(`ws://127.0.0.1:${(wss.address() as AddressInfo).port}`);
      ends.push(() => (client.terminate(), wss.close()));
      const received: string[] = [];
      client.on('message', (data: Buffer) => received.push(String(data)));
      await once(client, 'open');
      return { server: (await connected)[0], received, client };
    }

    test('a message reaches the connections of its key on all nodes, and no others', async () => {
      const [a, b] = [await node(), await node()];
      const [first, second, other] = [await webSocketPair(), await webSocketPair(), await webSocketPair()];
      a.bus.subscribe('fleet 1', first.server);
      b.bus.subscribe('fleet 1', second.server);
      b.bus.subscribe('fleet 2', other.server);
      await eventuallyPasses(async () =>
        expect((await a.channels()).toSorted()).toEqual(['ws:fanout:fleet 1', 'ws:fanout:fleet 2']),
      );
      const publishedMs = Date.now();
      await a.bus.publish('fleet 1', 'position');
      await eventuallyPasses(() =>
        expect([first.received, second.received]).toEqual([['position'], ['position']]),
      );
      expect(other.received).toEqual([]);
      expect(a.bus.stats()).toMatchObject({
        keys: 1,
        connections: 1,
        published: 1,
        received: 1,
        delivered: 1,
        errors: 0,
      });
      expect(a.bus.stats().lastLagMs).toBeLessThanOrEqual(Date.now() - publishedMs);
    });

    test('one subscription a key, which ends with its last connection', async () => {
      const { bus, channels } = await node();
      const pairs = [await webSocketPair(), await webSocketPair()];
      for (const { server } of pairs) bus.subscribe('fleet 1', server);
      await eventuallyPasses(async () => expect(await channels()).toEqual(['ws:fanout:fleet 1']));
      pairs[0]!.client.terminate();
      await eventuallyPasses(() => expect(bus.stats().connections).toBe(1));
      expect(await channels()).toEqual(['ws:fanout:fleet 1']);
      pairs[1]!.client.terminate();
      await eventuallyPasses(async () => expect(await channels()).toEqual([]));
      expect(bus.stats()).toMatchObject({ keys: 0, connections: 0 });
    });

    test('a key that is left and used again at once stays subscribed', async () => {
      const { bus } = await node();
      const { server, received } = await webSocketPair();
      for (let n = 0; n < 20; n += 1) {
        bus.subscribe('key', server);
        bus.unsubscribe('key', server);
      }
      bus.subscribe('key', server);
      await eventuallyPasses(async () => {
        await bus.publish('key', 'here');
        expect(received.length).toBeGreaterThan(0);
      });
      expect(bus.stats().errors).toBe(0);
    });

    test('the trace context arrives, and foreign messages on the channel are ignored', async () => {
      const contexts: FanoutMessage[] = [];
      const { bus, client, channels } = await node((_connection, _message, context) =>
        contexts.push(context),
      );
      bus.subscribe('key', (await webSocketPair()).server);
      await eventuallyPasses(async () => expect(await channels()).toHaveLength(1));
      const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
      for (const foreign of ['not JSON', '{}', 'null']) await client.publish('ws:fanout:key', foreign);
      await bus.publish('key', 'a', { traceparent });
      await eventuallyPasses(() => expect(contexts).toHaveLength(1));
      expect(contexts[0]).toMatchObject({ key: 'key', traceparent });
    });

    test('of several processes one gets the claim, and the next one when it has ended', async () => {
      const clients = await Promise.all([1, 2, 3].map(() => openClient(library, redis.url)));
      ends.push(...clients.map(({ end }) => end));
      const key = `exit of ${library}`;
      const claimsFor = (ttlMs: number) => clients.map(({ client }) => claimInRedis(client, { key, ttlMs }));
      const [brief] = claimsFor(500);
      expect(await brief!()).toBe(true);
      // The claim has ended for all three when one of them gets the next one.
      const claims = claimsFor(600_000);
      const claimAll = () => Promise.all(claims.map((claim) => claim()));
      await eventuallyPasses(async () => expect((await claimAll()).filter(Boolean)).toHaveLength(1));
      expect((await claimAll()).filter(Boolean)).toHaveLength(0);
    });

    test('a key that is used first while Redis is away is subscribed when Redis is back', async () => {
      const { bus } = await node();
      const { server, received } = await webSocketPair();
      await redis.stop({ keep: true });
      bus.subscribe('key', server);
      if (library === 'ioredis') await eventuallyPasses(() => expect(bus.stats().errors).toBeGreaterThan(2));
      else await new Promise((resolve) => setTimeout(resolve, 1_000));
      redis = await startComponent('redis', { dir: redis.dir, ports: redis.ports });
      await eventuallyPasses(async () => {
        await bus.publish('key', 'Redis is back').catch(() => undefined);
        expect(received.length).toBeGreaterThan(0);
      });
    });

    test('a restart of Redis is survived: messages arrive again, and no subscription is left over', async () => {
      const { bus, channels } = await node();
      const { server, received, client } = await webSocketPair();
      bus.subscribe('key', server);
      await eventuallyPasses(async () => expect(await channels()).toHaveLength(1));
      redis = await redis.restart();
      await eventuallyPasses(async () => {
        await bus.publish('key', 'after the restart').catch(() => undefined);
        expect(received.length).toBeGreaterThan(0);
      });
      client.terminate();
      await eventuallyPasses(async () => expect(await channels()).toEqual([]));
    });
  });
});
