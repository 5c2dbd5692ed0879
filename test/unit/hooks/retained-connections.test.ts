import { RetainedConnections } from '../../../src/hooks/connections/retained-connections.ts';
import { useClearableWeakRefs } from '../../support/clearable-weak-refs.ts';

const MIN_AGE_MS = 30_000;
/** Checks until done; returns the number of slices. */
function check(retained: RetainedConnections, nowMs: number, maxEntries = 1_000): number {
  let slices = 1;
  while (!retained.checkSlice(nowMs, maxEntries)) slices += 1;
  return slices;
}
/** Closes connections, and then reads the number of major GCs. */
function close(retained: RetainedConnections, objects: readonly object[], majorGcs: number): void {
  for (const object of objects) retained.addClosed(object, 0);
  retained.setMajorGcs(majorGcs);
}
const closedObjects = (count: number): object[] => Array.from({ length: count }, (_, n) => ({ n }));

test('alive after two major GCs is retained; alive after one is only not collected yet', () => {
  const retained = new RetainedConnections(MIN_AGE_MS);
  const kept = closedObjects(5);
  close(retained, kept, 0);
  retained.setMajorGcs(1);
  check(retained, 60_000);
  expect(retained.read()).toEqual({ retained: null, uncollected: 5 });
  retained.setMajorGcs(2);
  check(retained, 70_000);
  expect(retained.read()).toEqual({ retained: 5, uncollected: 5 });
  expect(kept).toHaveLength(5);
});

test('a connection that closed a moment ago is not retained, whatever the number of GCs', () => {
  const retained = new RetainedConnections(MIN_AGE_MS);
  const [kept] = closedObjects(1) as [object];
  close(retained, [kept], 0);
  retained.setMajorGcs(5);
  check(retained, 20_000);
  expect(retained.read()).toEqual({ retained: 0, uncollected: 1 });
  retained.setMajorGcs(6);
  check(retained, 40_000);
  expect(retained.read()).toMatchObject({ retained: 1 });
  expect(kept).toBeDefined();
});

test('a connection that closed after the last GC is not checked', () => {
  const retained = new RetainedConnections(0);
  const [first, second] = closedObjects(2) as [object, object];
  close(retained, [first], 0);
  retained.setMajorGcs(2);
  retained.addClosed(second, 1);
  check(retained, 60_000);
  expect(retained.read()).toEqual({ retained: 1, uncollected: 1 });
  expect([first, second]).toHaveLength(2);
});

test('major GCs before the first reading after the close do not count: they may have run before the close', () => {
  const retained = new RetainedConnections(0);
  const [kept] = closedObjects(1) as [object];
  retained.setMajorGcs(3);
  close(retained, [kept], 7);
  check(retained, 60_000);
  expect(retained.read()).toEqual({ retained: 0, uncollected: 0 });
  retained.setMajorGcs(8);
  check(retained, 75_000);
  expect(retained.read()).toEqual({ retained: 0, uncollected: 1 });
  retained.setMajorGcs(9);
  check(retained, 90_000);
  expect(retained.read()).toEqual({ retained: 1, uncollected: 1 });
  expect(kept).toBeDefined();
});

test('connections that close during a check count from the first reading after it', () => {
  const retained = new RetainedConnections(0);
  const kept = closedObjects(4);
  close(retained, kept.slice(0, 2), 0);
  retained.setMajorGcs(2);
  expect(retained.checkSlice(60_000, 1)).toBe(false);
  for (const object of kept.slice(2)) retained.addClosed(object, 60_000);
  check(retained, 60_000);
  expect(retained.read()).toEqual({ retained: 2, uncollected: 2 });
  retained.setMajorGcs(5);
  check(retained, 90_000);
  expect(retained.read()).toEqual({ retained: 2, uncollected: 2 });
  retained.setMajorGcs(7);
  check(retained, 120_000);
  expect(retained.read()).toEqual({ retained: 4, uncollected: 4 });
});

test('without a GC nothing is checked', () => {
  const retained = new RetainedConnections(MIN_AGE_MS);
  const [kept] = closedObjects(1) as [object];
  close(retained, [kept], 0);
  expect(retained.checkSlice(90_000, 1)).toBe(true);
  expect(retained.read()).toEqual({ retained: null, uncollected: 0 });
  expect(kept).toBeDefined();
});

test('a check runs in slices', () => {
  const retained = new RetainedConnections(MIN_AGE_MS);
  const kept = closedObjects(1_000);
  close(retained, kept, 0);
  retained.setMajorGcs(2);
  expect(check(retained, 60_000, 100)).toBe(11);
  expect(retained.read()).toEqual({ retained: 1_000, uncollected: 1_000 });
  expect(kept).toHaveLength(1_000);
});

test('a reading changes only when a check is complete', () => {
  const retained = new RetainedConnections(0);
  const kept = closedObjects(20);
  close(retained, kept, 0);
  retained.setMajorGcs(2);
  expect(retained.checkSlice(60_000, 10)).toBe(false);
  expect(retained.read()).toEqual({ retained: null, uncollected: 0 });
  check(retained, 60_000);
  expect(retained.read()).toEqual({ retained: 20, uncollected: 20 });
  expect(kept).toHaveLength(20);
});

test('with more closes than entries a random sample stands for all of them', () => {
  const retained = new RetainedConnections(MIN_AGE_MS);
  const kept = closedObjects(50_000);
  close(retained, kept, 0);
  retained.setMajorGcs(2);
  check(retained, 60_000);
  const estimate = retained.read().retained ?? 0;
  // About 10,000 entries stand for 50,000: the standard error is about 1 %.
  expect(estimate).toBeGreaterThan(45_000);
  expect(estimate).toBeLessThan(55_000);
  expect(kept).toHaveLength(50_000);
});

describe('with weak references that the test clears', () => {
  const { clear } = useClearableWeakRefs();

  test('a collected connection is no longer counted', () => {
    const retained = new RetainedConnections(0);
    const closed = closedObjects(10);
    close(retained, closed, 0);
    for (const object of closed.slice(0, 7)) clear(object);
    retained.setMajorGcs(2);
    check(retained, 60_000);
    expect(retained.read()).toEqual({ retained: 3, uncollected: 3 });
    for (const object of closed) clear(object);
    retained.setMajorGcs(3);
    check(retained, 60_000);
    expect(retained.read()).toEqual({ retained: 0, uncollected: 0 });
  });

  test('the sample ends when most entries were collected', () => {
    const retained = new RetainedConnections(0);
    const early = closedObjects(20_000);
    close(retained, early, 0);
    for (const object of early) clear(object);
    retained.setMajorGcs(2);
    check(retained, 60_000, 100_000);
    const late = closedObjects(100);
    for (const object of late) retained.addClosed(object, 60_000);
    retained.setMajorGcs(2);
    retained.setMajorGcs(4);
    check(retained, 120_000, 100_000);
    expect(retained.read()).toEqual({ retained: 100, uncollected: 100 });
  });
});

test('the ids of up to three retained connections are listed', () => {
  const retained = new RetainedConnections(0);
  const kept = closedObjects(6);
  kept.forEach((object, index) => retained.addClosed(object, 0, index < 5 ? `user ${index}` : null));
  retained.setMajorGcs(0);
  retained.setMajorGcs(1);
  check(retained, 60_000);
  expect(retained.retainedIds).toEqual([]);
  retained.setMajorGcs(2);
  check(retained, 60_000);
  expect(retained.retainedIds).toHaveLength(3);
  expect(new Set(retained.retainedIds).size).toBe(3);
  expect(kept.map((_, index) => `user ${index}`)).toEqual(expect.arrayContaining([...retained.retainedIds]));
});

test('stop drops all entries', () => {
  const retained = new RetainedConnections(0);
  const kept = closedObjects(3);
  close(retained, kept, 0);
  retained.stop();
  retained.setMajorGcs(2);
  check(retained, 60_000);
  expect(retained.read()).toEqual({ retained: 0, uncollected: 0 });
  expect(kept).toHaveLength(3);
});
