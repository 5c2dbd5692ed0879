import { answerOf, MB, run } from '../../support/run.ts';

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
