import {
  countTimers,
  findTimerLists,
  newestCallbacks,
  type TimerLists,
} from '../../../src/hooks/resources/timer-lists.ts';

const MAX_TIMEOUT_MS = 30 * 60_000;
/** Durations that no other code of this process uses. */
const INTERVAL_MS = 7_654_321;
const TIMEOUT_MS = 1_234_567;

function lists(): TimerLists {
  const found = findTimerLists(globalThis.clearTimeout);
  if (found === null) throw new Error('no lists of timers');
  return found;
}

function countOf(durationMs: number): number {
  let found = 0;
  countTimers(lists(), MAX_TIMEOUT_MS, (duration, count) => {
    if (duration === durationMs) found = count;
  });
  return found;
}

const started: NodeJS.Timeout[] = [];
const keep = (timer: NodeJS.Timeout): NodeJS.Timeout => {
  started.push(timer);
  return timer;
};
afterEach(() => started.splice(0).forEach((timer) => clearTimeout(timer)));

test('timers are counted by their duration until they are cleared, unref’d ones too', () => {
  expect(countOf(TIMEOUT_MS)).toBe(0);
  const timers = Array.from({ length: 5 }, () => keep(setTimeout(() => undefined, TIMEOUT_MS)));
  timers[0]?.unref();
  expect(countOf(TIMEOUT_MS)).toBe(5);
  clearTimeout(timers[1]);
  expect(countOf(TIMEOUT_MS)).toBe(4);
});

test('an interval counts with any period, a timer that fires once only below the limit', () => {
  keep(setInterval(() => undefined, INTERVAL_MS));
  keep(setTimeout(() => undefined, INTERVAL_MS));
  expect(countOf(INTERVAL_MS)).toBe(1);
});

test('the callbacks of the newest counted timers', () => {
  const old = (): void => undefined;
  const recent = (): void => undefined;
  keep(setInterval(old, INTERVAL_MS));
  keep(setInterval(recent, INTERVAL_MS));
  keep(setInterval(recent, INTERVAL_MS));
  keep(setTimeout(old, INTERVAL_MS));
  const options = { durationMs: INTERVAL_MS, maxTimeoutMs: MAX_TIMEOUT_MS, max: 2 };
  expect(newestCallbacks(lists(), options)).toEqual([recent, recent]);
  expect(newestCallbacks(lists(), { ...options, max: 9 })).toEqual([recent, recent, old]);
  expect(newestCallbacks(lists(), { ...options, durationMs: 1 })).toEqual([]);
});

test('a function that is not Node’s clearTimeout shows no lists', () => {
  expect(findTimerLists(() => undefined)).toBeNull();
  const timerListMap = { 5: 'no list' };
  expect(findTimerLists(() => timerListMap)).toBeNull();
  expect(findTimerLists({})).toBeNull();
});

test('lists that never end are not walked for ever', () => {
  const timer = { _repeat: 1, _onTimeout: null, _idleNext: null as unknown };
  timer._idleNext = timer;
  const endless = { 5: { msecs: 5, _idleNext: timer } } as unknown as TimerLists;
  let counted = 0;
  countTimers(endless, MAX_TIMEOUT_MS, (_, count) => (counted = count));
  expect(counted).toBe(100_000);
  expect(newestCallbacks(endless, { durationMs: 5, maxTimeoutMs: 1, max: 3 })).toEqual([]);
});
