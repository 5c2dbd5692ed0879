import type { PostGcHeap } from '../../../src/detect/post-gc-heaps.ts';
import { postGcTrend } from '../../../src/detect/post-gc-trend.ts';

const POINTS = [40, 39, 41, 46, 52, 57, 63].map((megabytes, i): PostGcHeap => ({
  atMs: i * 600_000,
  bytes: megabytes * 1024 ** 2,
  responsive: 100,
  meanResponsive: 100,
  connectionMs: i * 60_000_000,
  closedTotal: i * 50,
  externalBytes: 0,
  nativeBytes: 0,
  survivors: 0,
  closedBefore: i * 50,
}));

test('the trend from a later point is that of the points from there, and is computed once', () => {
  const trend = postGcTrend(POINTS);
  const later = trend?.from(3);
  expect(later?.perMs).toBe(postGcTrend(POINTS.slice(3))?.perMs);
  expect(later?.points).toEqual(POINTS.slice(3));
  expect(trend?.from(3)).toBe(later);
  expect(trend?.from(0)).toBe(trend);
  expect(trend?.from(5)).toBeNull();
});
