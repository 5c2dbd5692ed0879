/** Healthy memory whose growth looks like a leak for a while, and leaks beside it. */
import { gcEvery, run, type Shape } from '../../support/run.ts';

const CAPACITY_MB = 2_048;
const steady = (): Shape => ({ connections: 400, capacityMb: CAPACITY_MB });

const opened = (floorMb: (minute: number) => number, minutes = 240): readonly string[] =>
  run(minutes, gcEvery(8, floorMb, steady)).opened;

test('a leak in a heap of gigabytes opens an alert', () => {
  expect(opened((minute) => 30 + 0.5 * minute, 120)).toEqual(['heap-growth']);
});

test.each([100, 160, 300])('memory that swings with a period of %i min opens no alert', (periodMinutes) => {
  const swing = (minute: number): number => 30 + 25 * (1 + Math.cos((2 * Math.PI * minute) / periodMinutes));
  expect(opened(swing, 600)).toEqual([]);
});

test('a leak that begins after the memory of the start was freed opens an alert once it is larger than that fall', () => {
  const floorMb = (minute: number): number => (minute < 60 ? 50 - minute / 6 : 40 + 0.5 * (minute - 60));
  expect(opened(floorMb)).toEqual(['heap-growth']);
});

/** Simulated servers: the minutes of their major GCs, and the megabytes of the post-GC heap. */
const SERVERS: readonly [string, (minute: number) => number, number, Readonly<Record<number, number>>][] = [
  [
    'a warm-up, and a night',
    (minute) => (minute < 110 ? 165 : 4),
    125,
    { 18: 43.5, 32: 49.1, 38: 51.4, 92: 59.7, 100: 60, 117: 52.8, 121: 53.3, 148: 54 },
  ],
  [
    'a warm-up while the connections leave',
    (minute) => (minute < 27 ? 380 + 2 * minute : Math.max(170, 434 - 7 * (minute - 20))),
    2_048,
    { 12: 58.8, 18: 69.2, 20: 71.8, 27: 78.4, 28: 79.1, 32: 81.5, 49: 88.5, 50: 88.9, 60: 93.2, 63: 95 },
  ],
  [
    'tables that are loaded in steps, and a night',
    (minute) => (minute < 118 ? 590 - minute : 5),
    301,
    {
      31: 78.5,
      40: 77.7,
      41: 77.8,
      44: 77.2,
      46: 100.9,
      55: 99.1,
      67: 122.5,
      71: 122.7,
      77: 122.7,
      99: 122.5,
      106: 143.5,
      113: 145.9,
      124: 123.2,
    },
  ],
  [
    'tables that are loaded in an hour without a major GC, under bursts',
    (minute) => (minute % 36 < 12 ? 350 : 32),
    2_048,
    { 5: 29.4, 6: 29, 21: 25.5, 109: 47.7, 113: 47.8, 121: 44.1, 123: 44.2, 125: 44.5, 161: 62.9 },
  ],
  [
    'a heap that stands still while the connections leave',
    (minute) => (minute < 160 ? Math.min(437, 330 + minute) : 437 - 1.4 * (minute - 160)),
    180,
    {
      21: 53,
      55: 71.4,
      69: 75.8,
      82: 80.2,
      102: 84.3,
      125: 87.4,
      148: 89.2,
      154: 89.8,
      173: 90.3,
      177: 90.4,
      202: 89.9,
      216: 89.7,
    },
  ],
];

test.each(SERVERS)('%s: no alert', (_, connections, capacityMb, floors) => {
  const shape = (minute: number): Shape => ({
    connections: Math.round(connections(minute)),
    capacityMb,
    ...(floors[minute] === undefined ? {} : { floorMb: floors[minute] }),
  });
  const minutes = Math.max(...Object.keys(floors).map(Number)) + 3;
  expect(run(minutes, shape).transitions.map(({ title }) => title)).toEqual([]);
});

describe('old space shows how the heap grew', () => {
  const GCS = [10, 21, 34, 43, 57, 66, 80, 91, 104, 113, 127, 136, 150];
  /** The megabytes that are retained, and garbage that comes steadily. */
  const server =
    (retainedMb: (minute: number) => number) =>
    (minute: number): Shape => {
      const lastGc = GCS.findLast((gc) => gc <= minute) ?? 0;
      const isMajorGc = GCS.includes(minute);
      const retained = 60 + retainedMb(minute);
      return {
        ...steady(),
        oldMb: retained + 0.15 * (minute - lastGc),
        ...(isMajorGc ? { floorMb: retained } : {}),
      };
    };
  const LOADS = [28, 38, 50, 61, 73, 86, 98, 109, 120, 131, 143];
  const loaded = (minute: number): number => 8 * LOADS.filter((load) => load <= minute).length;

  test('tables of 8 MB that are loaded every twelve minutes: no alert', () => {
    expect(run(150, server(loaded)).opened).toEqual([]);
  });

  test('the same memory in a line: an alert', () => {
    expect(
      run(
        150,
        server((minute) => (8 * minute) / 12),
      ).opened,
    ).toEqual(['heap-growth']);
  });
});
