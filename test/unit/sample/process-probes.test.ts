import { openSync, closeSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { createGuard } from '../../../src/core/guard.ts';
import { createDescriptorProbe } from '../../../src/sample/descriptors.ts';
import { createGcProbe } from '../../../src/sample/gc.ts';
import { isYoungSpace, readMemory } from '../../../src/sample/memory.ts';
import { ProcessProbes } from '../../../src/sample/process-probes.ts';
import { eventually } from '../../support/eventually.ts';
import { createFakeClock } from '../../support/fake-clock.ts';
import { onLinux } from '../../support/platform.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
const flags = { execArgv: [], nodeOptions: '', v8: process.versions.v8 };
const faults: string[] = [];
const guard = createGuard(({ part }) => faults.push(part));
afterEach(() => {
  jest.restoreAllMocks();
  expect(faults.splice(0)).toEqual([]);
});

/** Replaces the profiler by one with the GCs that the test adds: V8 may run a GC of its own at any time. */
function scriptGcs(): object[] {
  const gcs: object[] = [];
  const profiler = { start: () => undefined, stop: () => ({ statistics: gcs.splice(0) }) };
  const v8 = jest.requireActual<typeof import('node:v8')>('node:v8');
  jest.spyOn(v8, 'GCProfiler').mockImplementation(() => profiler as never);
  return gcs;
}

describe('createGcProbe', () => {
  test('major GCs are counted, with the size of old space after the last one', () => {
    const clock = createFakeClock();
    const probe = createGcProbe(clock, guard);
    clock.advance(500);
    const before = probe.read();
    collect();
    const after = probe.read();
    expect(after.majorTotal).toBeGreaterThan(before.majorTotal);
    expect(after.pauseMsTotal).toBeGreaterThan(before.pauseMsTotal);
    expect(after.floor?.atMs).toBe(500);
    const { oldSpaceBytes } = readMemory();
    expect(after.floor?.bytes).toBeGreaterThan(oldSpaceBytes / 2);
    expect(after.floor?.bytes).toBeLessThan(oldSpaceBytes * 2);
    probe.stop();
  });

  test('without a major GC since the last reading there is no post-GC heap', () => {
    const gcs = scriptGcs();
    const probe = createGcProbe(createFakeClock(), guard);
    const heapSpaceStatistics = [{ spaceName: 'old_space', spaceUsedSize: 7 }];
    gcs.push({ gcType: 'MarkSweepCompact', cost: 1, afterGC: { heapSpaceStatistics } });
    expect(probe.read().floor).toEqual({ atMs: 0, bytes: 7 });
    expect(probe.read().floor).toBeNull();
    probe.stop();
  });

  test('the major GCs until now are not known while V8 marks the heap', () => {
    const gcs = scriptGcs();
    const probe = createGcProbe(createFakeClock(), guard);
    const afterGC = { heapSpaceStatistics: [] };
    const countAfter = (...types: readonly string[]): number | null => {
      gcs.push(...types.map((gcType) => ({ gcType, cost: 1, afterGC })));
      return probe.completedMajorGcs();
    };
    expect(countAfter()).toBe(0);
    expect(countAfter('IncrementalMarking', 'Scavenge')).toBeNull();
    expect(countAfter('MarkSweepCompact')).toBe(1);
    expect(countAfter('IncrementalMarking', 'MarkSweepCompact', 'MarkSweepCompact')).toBe(3);
    expect(countAfter('MarkSweepCompact', 'IncrementalMarking')).toBeNull();
    probe.stop();
  });

  test('minor GCs and starts of incremental marking are counted apart', () => {
    const gcs = scriptGcs();
    const probe = createGcProbe(createFakeClock(), guard);
    const types = ['Scavenge', 'MinorMarkCompact', 'IncrementalMarking', 'ProcessWeakCallbacks', 'Scavenge'];
    gcs.push(...types.map((gcType) => ({ gcType, cost: 2_000 })));
    expect(probe.read()).toEqual({
      minorTotal: 3,
      majorTotal: 0,
      incrementalTotal: 1,
      pauseMsTotal: 10,
      floor: null,
    });
    probe.stop();
  });

  test('the profiler is emptied each second', () => {
    const clock = createFakeClock();
    const probe = createGcProbe(clock, guard);
    collect();
    clock.advance(1_000);
    const { floor } = probe.read();
    expect(floor?.atMs).toBe(1_000);
    probe.stop();
  });
});

describe('createDescriptorProbe', () => {
  onLinux('open descriptors and their limit', async () => {
    const probe = createDescriptorProbe();
    await probe.refresh();
    const before = probe.read();
    const descriptors = Array.from({ length: 20 }, () => openSync('/dev/null', 'r'));
    await probe.refresh();
    const after = probe.read();
    descriptors.forEach((descriptor) => closeSync(descriptor));
    expect((after?.open ?? 0) - (before?.open ?? 0)).toBe(20);
    expect(after?.limit).toBeGreaterThan(20);
    expect(probe.unreadable()).toBeNull();
  });
});

describe('ProcessProbes', () => {
  test('a reading has memory, limits, GCs and descriptors', async () => {
    const probes = new ProcessProbes({ clock: createFakeClock(), guard, flags });
    await new Promise(setImmediate);
    const reading = probes.read();
    expect(reading.memory.heapUsedBytes).toBeGreaterThan(0);
    expect(reading.limits.heapCapacityBytes).toBeGreaterThan(reading.memory.heapUsedBytes);
    expect(probes.blind()).toEqual([]);
    probes.stop();
  });

  test('the event loop has a delay after five measurements, and none right after a reading', async () => {
    const probes = new ProcessProbes({ clock: createFakeClock(), guard, flags });
    expect(probes.read().loop).toBeNull();
    // A reading begins anew, so each one comes after the time of many measurements. A busy machine makes few of them.
    const loop = await eventually(async () => {
      await new Promise((resolve) => setTimeout(resolve, 400));
      return probes.read().loop;
    }, 'five measurements');
    expect(loop.delayMaxMs).toBeGreaterThanOrEqual(loop.delayP99Ms);
    expect(probes.read().loop).toBeNull();
    probes.stop();
  });

  test('a runtime without v8.GCProfiler is reported', () => {
    const broken = createGuard(() => undefined);
    const clock = createFakeClock();
    jest.spyOn(clock, 'every').mockImplementation(() => {
      throw new Error('no profiler');
    });
    const probes = new ProcessProbes({ clock, guard: broken, flags });
    expect(probes.read().gc).toEqual({
      minorTotal: 0,
      majorTotal: 0,
      incrementalTotal: 0,
      pauseMsTotal: 0,
      floor: null,
    });
    expect(probes.blind()).toEqual([
      { what: 'garbage collections', why: 'v8.GCProfiler is not available in this runtime' },
    ]);
    probes.stop();
  });
});

test('memory: old space is in the heap, the heap in its total, and the total in its limit', () => {
  const memory = readMemory();
  expect(memory.oldSpaceBytes).toBeLessThanOrEqual(memory.heapUsedBytes * 1.1);
  expect(memory.heapUsedBytes).toBeLessThanOrEqual(memory.heapTotalBytes);
  expect(memory.heapTotalBytes).toBeLessThanOrEqual(memory.heapLimitBytes);
  expect(memory.arrayBuffersBytes).toBeLessThanOrEqual(memory.externalBytes);
  expect(Math.min(...Object.values(memory))).toBeGreaterThan(0);
});

test.each([
  ['new_space', true],
  ['new_large_object_space', true],
  ['old_space', false],
  ['large_object_space', false],
])('%s is a young space: %s', (space, isYoung) => {
  expect(isYoungSpace(space)).toBe(isYoung);
});
