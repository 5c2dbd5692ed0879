import { MemoryMonitor } from '../../src/memory-monitor.ts';
import type { LeakCheck } from '../../src/types/index.ts';
import { createFakeClock } from '../support/fake-clock.ts';

const monitorOf = (options: ConstructorParameters<typeof MemoryMonitor>[0] = {}) => {
  const clock = createFakeClock();
  return { clock, monitor: new MemoryMonitor(options, clock) };
};

test('getMemoryStats works before start() and gives the use as a share of the heap capacity', () => {
  const clients = new Map([['a', 1]]);
  const { monitor } = monitorOf({ registries: { clients, rooms: () => 7 } });
  const stats = monitor.getMemoryStats();
  for (const field of ['heapUsed', 'heapTotal', 'heapLimit', 'rss', 'external', 'mallocedMemory'] as const)
    expect(stats[field]).toBeGreaterThan(0);
  expect(stats.usagePercent).toBeGreaterThan(0);
  expect(stats.usagePercent).toBeLessThan(100);
  expect(stats.registries).toEqual({ clients: 1, rooms: 7 });
});

test('checkForLeak is null until there are ten samples, then has the growth rate', () => {
  const { clock, monitor } = monitorOf();
  monitor.start();
  clock.advance(9 * 30_000);
  expect(monitor.checkForLeak()).toBeNull();
  clock.advance(30_000);
  expect(monitor.checkForLeak()).toMatchObject({
    detected: false,
    hourlyGrowth: expect.stringMatching(/B\/h$/),
  });
  expect(monitor.getReport()).toMatchObject({ samplesCollected: 10, registries: {} });
  monitor.stop();
});

test('a growing registry emits one leak event', () => {
  const clients = new Map<number, number>();
  const { clock, monitor } = monitorOf({ registries: { clients } });
  const checks: LeakCheck[] = [];
  monitor.on('leak', (check) => checks.push(check));
  monitor.start();
  for (let minute = 0; minute < 30; minute += 1) {
    for (let i = 0; i < 20; i += 1) clients.set(clients.size, i);
    clock.advance(60_000);
  }
  expect(checks).toHaveLength(1);
  expect(checks[0]).toMatchObject({ detected: true, findings: [{ kind: 'registry-growth' }] });
  monitor.stop();
});

test('emits one alert above the threshold, and catches the error of a listener', () => {
  const { clock, monitor } = monitorOf({ maxMemoryBytes: 1024 });
  let alerts = 0;
  monitor.on('alert', () => {
    alerts += 1;
    throw new Error('listener');
  });
  monitor.start();
  clock.advance(5 * 30_000);
  expect(alerts).toBe(1);
  monitor.stop();
  clock.advance(5 * 30_000);
  expect(monitor.getReport().samplesCollected).toBe(5);
});

test('no number of errors in listeners keeps an event from the others', () => {
  const { clock, monitor } = monitorOf({ maxMemoryBytes: 1024 });
  for (let n = 0; n < 20; n += 1)
    monitor.on('alert', () => {
      throw new Error('listener');
    });
  let alerts = 0;
  monitor.on('alert', () => (alerts += 1));
  monitor.start();
  clock.advance(30_000);
  expect(alerts).toBe(1);
  monitor.stop();
});

test.each([
  { intervalMs: 0 },
  { intervalMs: Number.NaN },
  { alertThreshold: 80 },
  { maxHistory: 1 },
  { maxMemoryBytes: -1 },
  { registries: { clients: 3 as never } },
])('throws for %p', (options) => {
  expect(() => new MemoryMonitor(options)).toThrow(
    expect.objectContaining({ code: 'WSGUARD_MONITOR_ARGUMENT' }),
  );
});
