import { MB, run } from '../../support/run.ts';

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
