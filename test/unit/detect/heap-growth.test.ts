/** `heapGrowth`: how long a growth must last, by the time that is left until the limit. */
import { gcEvery, run } from '../../support/run.ts';

/** A major GC every six minutes, unless said otherwise. */
const alertsOf = (minutes: number, floorMb: (minute: number) => number, capacityMb = 4096, gcMinutes = 6) =>
  run(
    minutes,
    gcEvery(gcMinutes, floorMb, () => ({ capacityMb })),
  ).transitions.filter(({ event }) => event === 'opened');

test('buffers that are written once an hour open no alert where the limit is far', () => {
  expect(alertsOf(300, (minute) => 40 + (minute % 60))).toEqual([]);
});

test('the same growth without an end opens one after an hour, or earlier where the limit is near', () => {
  const leak = (minute: number): number => 40 + minute;
  expect(alertsOf(300, leak)[0]?.minute).toBeGreaterThan(65);
  expect(alertsOf(300, leak)[0]?.minute).toBeLessThan(85);
  expect(alertsOf(300, leak, 200)[0]?.minute).toBeLessThan(65);
});

test.each([1, 2, 5])('a major GC every %s min does not delay the alert', (gcMinutes) => {
  const [first] = alertsOf(300, (minute) => 40 + minute, 4096, gcMinutes);
  expect(first?.minute).toBeGreaterThan(65);
  expect(first?.minute).toBeLessThan(85);
});

test('a slow leak in a large heap is found after two hours where it brings a fifth, and after four where a tenth', () => {
  const first = (perHour: number) => alertsOf(420, (minute) => 150 + (perHour * minute) / 60)[0]?.minute ?? 0;
  expect(first(18)).toBeGreaterThan(120);
  expect(first(18)).toBeLessThan(150);
  expect(first(9)).toBeGreaterThan(240);
  expect(first(9)).toBeLessThan(270);
  expect(first(3)).toBe(0);
});

test('a large heap has few major GCs: five are enough after two hours, beside steady connections', () => {
  const first = (connections: (minute: number) => number) =>
    run(
      360,
      gcEvery(
        30,
        (minute) => 40 + minute / 2,
        (minute) => ({ capacityMb: 4096, connections: Math.round(connections(minute)) }),
      ),
    ).transitions.find(({ event }) => event === 'opened')?.minute;
  expect(first(() => 400)).toBeGreaterThanOrEqual(150);
  expect(first(() => 400)).toBeLessThan(185);
  expect(first((minute) => 400 + 200 * Math.sin(minute / 20))).toBeGreaterThan(230);
});
