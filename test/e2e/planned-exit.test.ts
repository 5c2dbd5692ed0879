/** Two leaking processes of one fleet: the agent proves the leak in both, and they drain and exit one after the other. */
import { once } from 'node:events';
import { join } from 'node:path';
import { WebSocket } from 'ws';
import { AGENT, endChildren, ROOT, startChild, type Child } from '../support/child.ts';
import { describeWith, startComponent, type Redis as RedisComponent } from '../support/components.ts';

const REMEDY = join(ROOT, 'dist', 'remedy', 'index.js');
const CLAIM_TTL_MS = 6_000;
const DRAIN_MS = 2_000;

const nodeModule = (name: string): string => JSON.stringify(join(ROOT, 'node_modules', name));

/** 40 clients a second come and go, and each leaves 16 KiB in a map. With a heap of 64 MiB that lasts about 100 s. */
const LEAKY_SERVER = `
const { WebSocket, WebSocketServer } = require(${nodeModule('ws')});
const { Redis } = require(${nodeModule('ioredis')});
const { claimInRedis, drain, memoryGuard } = require(${JSON.stringify(REMEDY)});
const sessions = new Map();
let count = 0;
let clients = null;
const wss = new WebSocketServer({ port: 0, host: '127.0.0.1' }, () => {
  console.log('port ' + wss.address().port);
  clients = setInterval(() => {
    const client = new WebSocket('ws://127.0.0.1:' + wss.address().port);
    client.on('error', () => undefined);
    client.on('open', () => setTimeout(() => client.close(), 100));
  }, 25);
});
wss.on('connection', (ws) => {
  ws.on('error', () => undefined);
  ws.on('message', () => sessions.get('latest'));
  sessions.set('session ' + (count += 1), Buffer.alloc(16_384, 'x').toString('latin1'));
});
const redis = new Redis(process.env.REDIS_URL);
const claim = claimInRedis(redis, { key: 'fleet:exit', ttlMs: ${CLAIM_TTL_MS} });
let claimedMs = 0;
memoryGuard({
  intervalMs: 500,
  claimExit() {
    claimedMs = Date.now();
    return claim();
  },
  async onExit({ alert, timeToLimitMs }) {
    clearInterval(clients);
    const startedMs = Date.now();
    const { closed, forced } = await drain(wss, { deadlineMs: ${DRAIN_MS} });
    const { kind, family } = alert;
    console.log('exit ' + JSON.stringify({ kind, family, timeToLimitMs, claimedMs, startedMs, endedMs: Date.now(), closed, forced }));
    process.exit(0);
  },
});
`;

interface Exit {
  readonly kind: string;
  readonly family: string;
  readonly timeToLimitMs: number;
  /** When it asked for the claim that it got. */
  readonly claimedMs: number;
  readonly startedMs: number;
  readonly endedMs: number;
  readonly closed: number;
  readonly forced: number;
}

describeWith(['redis'], 'a fleet', () => {
  let redis: RedisComponent;
  beforeAll(async () => {
    redis = await startComponent('redis');
  });
  afterEach(endChildren);
  afterAll(() => redis.stop());

  async function start() {
    const child = startChild({
      files: { 'main.js': LEAKY_SERVER },
      nodeArgs: ['--require', AGENT, '--max-old-space-size=64'],
      env: { REDIS_URL: redis.url, WSGUARD_TIME_SCALE: '120', WSGUARD_SNAPSHOT: 'off' },
    });
    const [, port = ''] = await child.stdoutMatch(/port (\d+)/);
    const client = new WebSocket(`ws://127.0.0.1:${port}`);
    const messages: string[] = [];
    client.on('message', (data: Buffer) => messages.push(data.toString()));
    const closeCode = once(client, 'close').then(([code]) => code as number);
    await once(client, 'open');
    return { child, messages, closeCode };
  }
  async function exitOf(child: Child): Promise<Exit> {
    const [, text = ''] = await child.stdoutMatch(/exit (\{.*\})/);
    return JSON.parse(text) as Exit;
  }

  test('its processes drain one at a time, before memory runs out, and their clients get the hint', async () => {
    const members = [await start(), await start()];
    const exits = await Promise.all(members.map(({ child }) => exitOf(child)));
    const [first, second] = exits.toSorted((a, b) => a.startedMs - b.startedMs) as [Exit, Exit];
    // Both clocks round to a millisecond.
    expect(second.startedMs - first.claimedMs).toBeGreaterThanOrEqual(CLAIM_TTL_MS - 2);
    expect(second.startedMs).toBeGreaterThan(first.endedMs);
    for (const exit of exits) {
      expect(exit.family).toBe('leak');
      expect(exit.timeToLimitMs).toBeLessThan(600_000);
      expect(exit.closed).toBeGreaterThan(0);
    }
    for (const { child, messages, closeCode } of members) {
      expect(await child.exited).toEqual({ code: 0, signal: null });
      expect(await closeCode).toBe(1001);
      expect(JSON.parse(messages.at(-1) ?? '{}')).toMatchObject({ type: 'SERVER_SHUTDOWN' });
    }
  });
});
