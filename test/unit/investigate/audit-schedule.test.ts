/** When censuses of containers are due. */
import { nextAuditMs, type AuditHistory } from '../../../src/investigate/audit-schedule.ts';

const MINUTE_MS = 60_000;
const IDLE: AuditHistory = {
  setting: 'auto',
  doneAtMs: [],
  refusedAtMs: null,
  found: 0,
  suspectedSinceMs: null,
};
const nextMin = (history: Partial<AuditHistory>): number | null => {
  const nextMs = nextAuditMs({ ...IDLE, ...history });
  return nextMs === null ? null : nextMs / MINUTE_MS;
};
const at = (...minutes: number[]): number[] => minutes.map((each) => each * MINUTE_MS);

test('auto: after 20 min, 40 min later, 2 h later, then daily', () => {
  expect(nextMin({})).toBe(20);
  expect(nextMin({ doneAtMs: at(20) })).toBe(60);
  expect(nextMin({ doneAtMs: at(20, 60) })).toBe(180);
  expect(nextMin({ doneAtMs: at(20, 60, 180) })).toBe(180 + 24 * 60);
});

test('a suspect is looked at every 20 min, a finding every 2 h', () => {
  expect(nextMin({ doneAtMs: at(20, 60), suspectedSinceMs: 60 * MINUTE_MS })).toBe(80);
  expect(nextMin({ doneAtMs: at(20, 60, 80), suspectedSinceMs: 60 * MINUTE_MS, found: 1 })).toBe(200);
});

test('a suspicion brings the next census forward, never into the warm-up', () => {
  expect(nextMin({ suspectedSinceMs: 0 })).toBe(20);
  expect(nextMin({ doneAtMs: at(20), suspectedSinceMs: 0 })).toBe(40);
  expect(nextMin({ doneAtMs: at(20, 60, 180), suspectedSinceMs: 600 * MINUTE_MS })).toBe(200);
});

test('after five censuses that decide nothing each next one waits twice as long, up to a day', () => {
  const suspectedSinceMs = 5 * MINUTE_MS;
  expect(nextMin({ suspectedSinceMs, doneAtMs: at(20, 40, 60, 80) })).toBe(100);
  expect(nextMin({ suspectedSinceMs, doneAtMs: at(20, 40, 60, 80, 100) })).toBe(140);
  expect(nextMin({ suspectedSinceMs, doneAtMs: at(40, 60, 80, 100, 140) })).toBe(220);
  expect(nextMin({ suspectedSinceMs, doneAtMs: at(140, 220, 380, 700, 1700) })).toBe(1700 + 24 * 60);
});

test('a refused census is tried again after 20 min', () => {
  expect(nextMin({ refusedAtMs: 20 * MINUTE_MS })).toBe(40);
  expect(nextMin({ doneAtMs: at(20), refusedAtMs: 30 * MINUTE_MS })).toBe(60);
});

test('a number is the minutes between two; off schedules none', () => {
  expect(nextMin({ setting: 30, doneAtMs: at(20), suspectedSinceMs: 0 })).toBe(50);
  expect(nextMin({ setting: 'off' })).toBeNull();
});
