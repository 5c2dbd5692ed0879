import { createHeapReader, createHeartbeatCounter } from '../../../src/agent/heartbeat-counter.ts';
import { createGuard } from '../../../src/core/guard.ts';
import type { MemoryPoint } from '../../../src/types/index.ts';
import { startMemoryRecorder } from '../../../src/watcher/memory-recorder.ts';
import { createFakeClock } from '../../support/fake-clock.ts';

test('notes the memory four times a second, from the first heartbeat on', () => {
  const clock = createFakeClock();
  const heartbeat = createHeartbeatCounter();
  const points: MemoryPoint[] = [];
  const cgroup = { usedBytes: () => 7, oomKills: () => null, pressureShare: () => 0.5 };
  const stop = startMemoryRecorder({
    clock,
    guard: createGuard(({ error }) => {
      throw error;
    }),
    readHeap: createHeapReader(heartbeat.memory),
    write: (point) => void points.push(point),
    cgroup,
  });
  clock.advance(1_000);
  expect(points).toEqual([]);
  heartbeat.increment();
  clock.advance(1_000);
  stop();
  clock.advance(1_000);
  expect(points).toHaveLength(4);
  expect(points[0]).toMatchObject({ containerUsedBytes: 7, containerOomKills: null, pressureShare: 0.5 });
  expect(points[0]?.heapUsedBytes).toBeGreaterThan(1e6);
  expect(points[0]?.rssBytes).toBeGreaterThan(points[0]?.heapUsedBytes ?? 0);
});
