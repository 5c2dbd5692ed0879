import { HourlyQuota } from '../../../src/alert/hourly-quota.ts';

const MINUTE_MS = 60_000;

test('there is room for so many events within an hour', () => {
  const quota = new HourlyQuota(2);
  quota.note(0);
  expect(quota.hasRoom(0)).toBe(true);
  quota.note(20 * MINUTE_MS);
  expect(quota.hasRoom(59 * MINUTE_MS)).toBe(false);
  expect(quota.hasRoom(60 * MINUTE_MS)).toBe(true);
  quota.note(60 * MINUTE_MS);
  expect(quota.hasRoom(79 * MINUTE_MS)).toBe(false);
  expect(quota.hasRoom(80 * MINUTE_MS)).toBe(true);
});
