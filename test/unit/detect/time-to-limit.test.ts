import { formatTimeToLimit } from '../../../src/core/format.ts';
import { MINUTE, run, type Shape } from '../../support/run.ts';

test.each([16, 64, 128])(
  'heap with semi-spaces of %i MiB: the capacity counts, not heap_size_limit',
  (semiMb) => {
    const server = (minute: number): Shape => ({
      ...(minute > 0 && minute % 3 === 0 ? { floorMb: 100 + 2 * minute } : {}),
      capacityMb: 512,
    });
    const { last } = run(60, (minute) => {
      const shape = server(minute);
      // heap_size_limit grows with the semi-spaces; what old space may take does not.
      return semiMb === 16 ? shape : { ...shape, heapTotalMb: 70 + semiMb };
    });
    const leftMs = ((0.85 * 512 - 220) / 2) * MINUTE;
    expect(last.timeToLimit?.limit).toBe('heap');
    expect(last.timeToLimit?.ms).toBeGreaterThan(0.95 * leftMs);
    expect(last.timeToLimit?.ms).toBeLessThan(1.05 * leftMs);
  },
);

test('container: growth outside the heap reaches the limit of the container first', () => {
  const { last } = run(90, (minute) => ({
    externalMb: 3 + 2 * minute,
    rssMb: 110 + 2 * minute,
    containerMb: 512,
  }));
  const leftMs = ((512 - 290) / 2) * MINUTE;
  expect(last.timeToLimit).toMatchObject({ limit: 'container' });
  expect(last.timeToLimit?.ms).toBeGreaterThan(0.95 * leftMs);
  expect(last.timeToLimit?.ms).toBeLessThan(1.05 * leftMs);
});

test('absent without growth and without data', () => {
  expect(run(60, (minute) => (minute % 5 === 0 ? { floorMb: 45 } : {})).last.timeToLimit).toBeNull();
  expect(run(60, () => ({})).last.timeToLimit).toBeNull();
});

test('the range contains the estimate', () => {
  const noise = [0, 6, -5, 3, -2, 7, -6, 1, 4, -3];
  const noisy = (minute: number): Shape =>
    minute > 0 && minute % 3 === 0 ? { floorMb: 100 + 2 * minute + (noise[(minute / 3) % 10] ?? 0) } : {};
  const { ms = 0, lowMs = 0, highMs = 0 } = run(120, noisy).last.timeToLimit ?? {};
  expect(lowMs).toBeLessThan(ms);
  expect(highMs).toBeGreaterThan(ms);
});

test.each([
  [{ ms: 42 * MINUTE, lowMs: 30 * MINUTE, highMs: 65 * MINUTE }, 'in about 42 min (30 to 65)'],
  [{ ms: 5 * 60 * MINUTE, lowMs: 100 * MINUTE, highMs: null }, 'in about 5 h (at least 1.7)'],
  [{ ms: 20_000, lowMs: 10_000, highMs: 90_000 }, 'in about 20 s (10 to 90)'],
])('text of %p', (time, text) => {
  expect(formatTimeToLimit({ ...time, limit: 'heap' })).toBe(text);
});
