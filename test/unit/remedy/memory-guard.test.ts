import { EventEmitter } from 'node:events';
import type { Server } from 'node:http';
import { remedyList, type WatchingAgent } from '../../../src/core/remedy-list.ts';
import { memoryGuard, type ExitAdvice, type MemoryPressure } from '../../../src/remedy/memory-guard.ts';
import type { Alert, Status } from '../../../src/types/index.ts';
import { createFakeClock } from '../../support/fake-clock.ts';
import { FakeServer, FakeWebSocket } from '../../support/web-sockets.ts';

const GIB = 1024 ** 3;
const usage = { rss: 0, heapTotal: 0, heapUsed: 0, external: 0, arrayBuffers: 0 };
beforeEach(() => {
  jest.spyOn(process, 'memoryUsage').mockImplementation(() => usage as NodeJS.MemoryUsage);
});
afterEach(() => {
  jest.restoreAllMocks();
  Object.assign(usage, { heapUsed: 0, external: 0 });
});

test('pressure is reported once a period, and ends below 90 % of the threshold', () => {
  const clock = createFakeClock();
  const pressures: MemoryPressure[] = [];
  memoryGuard({ thresholdBytes: GIB, onPressure: (pressure) => pressures.push(pressure) }, clock);
  const useBytes = (heapUsed: number, external = 0): void => {
    Object.assign(usage, { heapUsed, external });
    clock.advance(5_000);
  };
  useBytes(0.9 * GIB);
  expect(pressures).toEqual([]);
  useBytes(0.9 * GIB, 0.2 * GIB);
  useBytes(0.95 * GIB);
  expect(pressures).toHaveLength(1);
  expect(pressures[0]).toMatchObject({ thresholdBytes: GIB, usedBytes: 1.1 * GIB, terminated: 0 });
  useBytes(0.5 * GIB);
  useBytes(1.2 * GIB);
  expect(pressures).toHaveLength(2);
});

test('without a free descriptor the memory of V8 decides, and the timer throws nothing', () => {
  jest.spyOn(process, 'memoryUsage').mockImplementation(() => {
    throw Object.assign(new Error('too many open files'), { code: 'EMFILE' });
  });
  const clock = createFakeClock();
  const pressures: MemoryPressure[] = [];
  // The heap of any process is larger.
  memoryGuard({ thresholdBytes: 1024, onPressure: (pressure) => pressures.push(pressure) }, clock);
  expect(() => clock.advance(5_000)).not.toThrow();
  expect(pressures).toHaveLength(1);
});

test('under pressure upgrades get 503 and the slowest clients are terminated; else nothing happens', () => {
  const clock = createFakeClock();
  const http = new EventEmitter();
  const wss = new FakeServer();
  const clients = [0, 500_000, 2 << 20, 3 << 20].map((bufferedAmount) =>
    Object.assign(new FakeWebSocket(), { bufferedAmount }),
  );
  for (const ws of clients) wss.clients.add(ws);
  const dispose = memoryGuard(
    { thresholdBytes: GIB, servers: [http as Server], webSocketServers: [wss] },
    clock,
  );
  const upgrade = (): string[] => {
    const answers: string[] = [];
    http.emit(
      'upgrade',
      {},
      Object.assign(new EventEmitter(), { end: (text: string) => answers.push(text) }),
    );
    return answers;
  };
  clock.advance(5_000);
  expect(upgrade()).toEqual([]);
  usage.heapUsed = 2 * GIB;
  clock.advance(5_000);
  expect(upgrade()[0]).toMatch(/^HTTP\/1\.1 503 /);
  expect(clients.map(({ readyState }) => readyState)).toEqual([1, 1, 3, 3]);
  dispose();
  expect(http.listenerCount('upgrade')).toBe(0);
});

test('without a threshold the limits of the process count', () => {
  jest.restoreAllMocks();
  const clock = createFakeClock();
  const pressures: unknown[] = [];
  memoryGuard({ onPressure: (pressure) => pressures.push(pressure) }, clock);
  clock.advance(20_000);
  expect(pressures).toEqual([]);
});

describe('with an agent', () => {
  function withAgent(options: Partial<Parameters<typeof memoryGuard>[0]> = {}) {
    const clock = createFakeClock();
    let emit: (alert: Alert) => void = () => undefined;
    let answer = (): Promise<Pick<Status, 'timeToLimit'>> => Promise.resolve({ timeToLimit: null });
    let statusCalls = 0;
    const agent = {
      on: (_event: string, listener: typeof emit) => ((emit = listener), () => undefined),
      status: () => ((statusCalls += 1), answer()),
    };
    remedyList().agent = agent as unknown as WatchingAgent;
    const exits: ExitAdvice[] = [];
    const dispose = memoryGuard(
      { thresholdBytes: GIB, onExit: (advice) => exits.push(advice), ...options },
      clock,
    );
    remedyList().agent = null;
    return {
      exits,
      dispose,
      statusCalls: () => statusCalls,
      alert: (fields: object = {}): void =>
        emit({ id: 'a', event: 'opened', family: 'leak', timeToLimit: null, ...fields } as unknown as Alert),
      limitIn: (minutes: number | null): void => {
        const timeToLimit = minutes === null ? null : { ms: minutes * 60_000 };
        answer = () => Promise.resolve({ timeToLimit } as Pick<Status, 'timeToLimit'>);
      },
      failStatus: (): void => void (answer = () => Promise.reject(new Error('stopped'))),
      check: async (): Promise<void> => {
        clock.advance(5_000);
        await new Promise((resolve) => setImmediate(resolve));
      },
    };
  }

  test('a proven leak that is less than 10 min from the limit calls onExit once', async () => {
    const { exits, alert, limitIn, check } = withAgent();
    alert();
    for (const minutes of [30, 11]) {
      limitIn(minutes);
      await check();
    }
    expect(exits).toEqual([]);
    limitIn(9);
    for (let n = 0; n < 3; n += 1) await check();
    expect(exits).toHaveLength(1);
    expect(exits[0]).toMatchObject({ alert: { id: 'a' }, timeToLimitMs: 9 * 60_000 });
  });

  test('the time at the opening of the alert does not count when memory has stopped growing since', async () => {
    const { exits, alert, limitIn, check } = withAgent();
    alert({ timeToLimit: { ms: 1_000 } });
    limitIn(null);
    for (let n = 0; n < 3; n += 1) await check();
    expect(exits).toEqual([]);
  });

  test('without an open alert of a leak the agent is not asked', async () => {
    const { exits, statusCalls, alert, limitIn, check } = withAgent();
    limitIn(1);
    await check();
    alert({ family: 'condition' });
    await check();
    alert();
    alert({ event: 'closed' });
    await check();
    expect([exits, statusCalls()]).toEqual([[], 0]);
  });

  test('an agent that cannot be asked is no reason', async () => {
    const { exits, alert, failStatus, check } = withAgent();
    alert();
    failStatus();
    await check();
    await check();
    expect(exits).toEqual([]);
  });

  test('load is shed while a proven leak is less than 1 min from the limit', async () => {
    const pressures: MemoryPressure[] = [];
    const { alert, limitIn, check } = withAgent({
      onPressure: (pressure) => pressures.push(pressure),
    });
    alert();
    limitIn(2);
    for (let n = 0; n < 3; n += 1) await check();
    expect(pressures).toEqual([]);
    limitIn(0.5);
    for (let n = 0; n < 3; n += 1) await check();
    expect(pressures).toHaveLength(1);
    expect(pressures[0]!.leak).toMatchObject({ alert: { id: 'a' }, timeToLimitMs: 30_000 });
    alert({ event: 'closed' });
    for (let n = 0; n < 3; n += 1) await check();
    alert();
    for (let n = 0; n < 3; n += 1) await check();
    expect(pressures).toHaveLength(2);
  });

  test('without a granted claim it waits, and asks again', async () => {
    const answers = [
      (): Promise<boolean> => {
        throw new Error('the client is closed');
      },
      () => Promise.reject(new Error('Redis is away')),
      () => Promise.resolve(false),
      () => Promise.resolve(true),
    ];
    let asked = 0;
    const { exits, alert, limitIn, check } = withAgent({ claimExit: () => answers[asked++]!() });
    alert();
    limitIn(5);
    for (const count of [0, 0, 0, 1]) {
      await check();
      expect(exits).toHaveLength(count);
    }
    expect(asked).toBe(4);
  });

  test('dispose while a claim is pending ends it', async () => {
    let grant: (isGranted: boolean) => void = () => undefined;
    const claimExit = (): Promise<boolean> => new Promise((resolve) => (grant = resolve));
    const { exits, alert, limitIn, check, dispose } = withAgent({ claimExit });
    alert();
    limitIn(5);
    await check();
    dispose();
    grant(true);
    await new Promise((resolve) => setImmediate(resolve));
    expect(exits).toEqual([]);
  });
});
