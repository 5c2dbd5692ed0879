import { awaitsExpiry, haveLastEventTime } from '../../../src/hooks/discovery/expiry.ts';

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

test.each([
  ['a time of the wall clock', { ws: {}, lastSeen: NOW - 5_000 }, true],
  ['a Date', { disconnectedAt: new Date() }, true],
  ['a time of performance.now()', { heardMs: 1234.5 }, true],
  ['the time of the start, which every entry may have', { connectedAt: NOW }, false],
  ['a counter', { activeRooms: 12 }, false],
  ['a plain value', 'text', false],
])('haveLastEventTime: %s', (_case, entry, expected) => {
  expect(haveLastEventTime(new Map([['id', entry]]))).toBe(expected);
});
