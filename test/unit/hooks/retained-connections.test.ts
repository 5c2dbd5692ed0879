import { Retained } from '../../../src/hooks/connections/retained-connections.ts';

/** Judges until done, counting the slices. */
function judge(retained: Retained, nowMs: number, most = 1_000): number {
  let slices = 1;
  while (!retained.judge(nowMs, most)) slices += 1;
  return slices;
}
const MIN_AGE_MS = 30_000;

test('alive after two major collections is retained; after one it is only not collected yet', () => {
  const retained = new Retained(MIN_AGE_MS);
  const kept = Array.from({ length: 5 }, () => ({}));
  for (const holder of kept) retained.note(holder, 0);
  retained.collected(1);
  judge(retained, 60_000);
  expect(retained.read()).toEqual({ retained: null, uncollected: 5 });
  retained.collected(2);
  judge(retained, 70_000);
  expect(retained.read()).toEqual({ retained: 5, uncollected: 5 });
});

test('what closed a moment ago is not judged, however many collections there were', () => {
  const retained = new Retained(MIN_AGE_MS);
  const kept = {};
  retained.note(kept, 0);
  retained.collected(5);
  judge(retained, 20_000);
  expect(retained.read()).toEqual({ retained: 0, uncollected: 1 });
  retained.collected(6);
  judge(retained, 40_000);
  expect(retained.read()).toMatchObject({ retained: 1 });
  expect(kept).toEqual({});
});

test('nothing is looked at until there was a collection', () => {
  const retained = new Retained(MIN_AGE_MS);
  const kept = {};
  retained.note(kept, 0);
  expect(retained.judge(90_000, 1)).toBe(true);
  expect(retained.read()).toEqual({ retained: null, uncollected: 0 });
  expect(kept).toEqual({});
});

test('judging goes in slices', () => {
  const retained = new Retained(MIN_AGE_MS);
  const kept = Array.from({ length: 1_000 }, () => ({}));
  for (const holder of kept) retained.note(holder, 0);
  retained.collected(2);
  expect(judge(retained, 60_000, 100)).toBe(11);
  expect(retained.read()).toEqual({ retained: 1_000, uncollected: 1_000 });
});

test('of more than it can hold a random part stands for all', () => {
  const retained = new Retained(MIN_AGE_MS);
  const kept = Array.from({ length: 50_000 }, () => ({}));
  for (const holder of kept) retained.note(holder, 0);
  retained.collected(2);
  judge(retained, 60_000);
  const estimate = retained.read().retained ?? 0;
  // Some 10,000 stand for 50,000: the standard error is about 1 %.
  expect(estimate).toBeGreaterThan(45_000);
  expect(estimate).toBeLessThan(55_000);
  expect(kept).toHaveLength(50_000);
});
