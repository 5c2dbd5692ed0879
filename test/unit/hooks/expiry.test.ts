import { awaitsExpiry } from '../../../src/hooks/discovery/expiry.ts';

const NOW = 1_790_000_000_000;

test.each([
  ['a time in milliseconds that has not come', { expiresAt: NOW + 1 }, true],
  ['a time in seconds', { expires_at: NOW / 1_000 + 60 }, true],
  ['a Date', { resetAt: new Date(NOW + 1) }, true],
  ['a time that is over', { expiresAt: NOW - 1 }, false],
  ['a duration', { expiresInSeconds: 3_600 }, false],
  ['another field', { createdAt: NOW + 1 }, false],
  ['no object', 5, false],
])('%s', (_case, entry, expected) => {
  expect(awaitsExpiry(new Map([['oldest', entry]]), NOW)).toBe(expected);
});
