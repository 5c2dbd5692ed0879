import { answerOf, MB, run, type Shape } from '../../support/run.ts';

test('the growth of each pool of memory; a pool without enough data is absent', () => {
  const grown = run(60, (minute) => ({
    ...(minute > 0 && minute % 5 === 0 ? { floorMb: 60 + minute } : {}),
    rssMb: 200 + 2 * minute,
  })).last.growthBytesPerHour;
  expect((grown['rss'] ?? 0) / MB).toBeCloseTo(120, 0);
  expect((grown['heap'] ?? 0) / MB).toBeCloseTo(60, 0);
  expect((grown['external'] ?? 1) / MB).toBeCloseTo(0, 0);
  expect(run(5, () => ({})).last.growthBytesPerHour).toEqual({});
});

test('the evidence of Buffers that grow in a line has the growth per hour of that line', () => {
  const grown = run(60, (minute) => ({ externalMb: 10 + minute / 2, rssMb: 200 + minute }));
  const perHour = answerOf(grown, 'external')?.evidence.find(
    ({ name }) => name === 'wsguard_memory_growth_bytes_per_hour',
  );
  expect((perHour?.value ?? 0) / MB).toBeCloseTo(30, 0);
});

/** A major GC every ten minutes, and memory outside the heap that grows. */
const outside = (minute: number, mb: number, containerMb: number | null): Shape => ({
  externalMb: 3 + mb,
  rssMb: 120 + mb,
  containerMb,
  ...(minute > 0 && minute % 10 === 0 ? { floorMb: 40 } : {}),
});
const openedAt = (mbAt: (minute: number) => number, containerMb: number | null, minutes = 200): number[] =>
  run(minutes, (minute) => outside(minute, mbAt(minute), containerMb))
    .transitions.filter(({ event, kind }) => event === 'opened' && kind === 'external-buffers')
    .map(({ minute }) => Math.round(minute));

test('a cache of Buffers that fills for an hour, and one that fills more and more slowly, are silent', () => {
  expect(openedAt((minute) => Math.min(80, 1.3 * minute), 2048)).toEqual([]);
  expect(openedAt((minute) => 300 * (1 - Math.exp(-minute / 60)), 4096)).toEqual([]);
});

test('Buffers that leak are found sooner when the limit is near', () => {
  const [far] = openedAt((minute) => 1.3 * minute, 8192);
  const [near] = openedAt((minute) => 1.3 * minute, 400);
  // After 80 min, and after the first window of half an hour.
  expect(far).toBeGreaterThanOrEqual(80);
  expect(far).toBeLessThan(100);
  expect(near).toBeLessThan(45);
});

test('RSS that malloc takes more and more slowly is silent, and RSS that grows in a line is not', () => {
  const openedWith = (mbAt: (minute: number) => number): readonly string[] =>
    run(200, (minute) => ({ ...outside(minute, mbAt(minute), 1024), externalMb: 3 })).opened;
  expect(openedWith((minute) => 200 * (1 - Math.exp(-minute / 50)))).toEqual([]);
  expect(openedWith((minute) => 2 * minute)).toContain('native-or-compression');
});
