import {
  analysisRssBytes,
  childHeapMib,
  predictCost as predictWith,
  redactionBytes,
} from '../../../src/capture/predict-cost.ts';
import type { CaptureReadings, LearnedCost } from '../../../src/types/index.ts';
import { captureReadings, MIB } from '../../support/capture-readings.ts';

/** The cost in the process. */
const predictCost = (readings: CaptureReadings, inprocess: LearnedCost | null) =>
  predictWith(readings, { fork: null, inprocess }, 'inprocess');

// Measured with `express` and 80 MB of small objects: nodes, pause and peak RSS over the RSS before.
test.each([
  { nodeMajor: 20, heapMib: 83, largeMib: 14, nodes: 1_936_634, pauseMs: 7185, rssMib: 832 },
  { nodeMajor: 22, heapMib: 81, largeMib: 14, nodes: 1_920_075, pauseMs: 7067, rssMib: 804 },
  { nodeMajor: 24, heapMib: 73, largeMib: 7, nodes: 1_902_185, pauseMs: 4559, rssMib: 766 },
  { nodeMajor: 26, heapMib: 70, largeMib: 7, nodes: 1_785_561, pauseMs: 3965, rssMib: 737 },
])(
  'Node $nodeMajor, many arrays: predicts 0.95 to 1.65 times the measured cost, more of memory',
  (measured) => {
    const { nodeMajor, heapMib, largeMib } = measured;
    const cost = predictCost(
      captureReadings({ nodeMajor, heapBytes: heapMib * MIB, largeObjectBytes: largeMib * MIB }),
      null,
    );
    for (const [predicted, real] of [
      [cost.nodes, measured.nodes],
      [cost.pauseMs, measured.pauseMs],
    ] as const) {
      expect(predicted / real).toBeGreaterThan(0.95);
      expect(predicted / real).toBeLessThan(1.65);
    }
    // The longest of the arrays is not known.
    expect(cost.rssBytes / MIB / measured.rssMib).toBeGreaterThan(0.95);
    expect(cost.rssBytes / MIB / measured.rssMib).toBeLessThan(3);
  },
);

// Measured with 200,000 entries: peak RSS over the RSS before.
test.each([
  { nodeMajor: 20, shape: 'a map', heapMib: 21.9, largeMib: 7.3, rssMib: 591 },
  { nodeMajor: 22, shape: 'a map', heapMib: 22.8, largeMib: 7.3, rssMib: 591 },
  { nodeMajor: 24, shape: 'a map', heapMib: 23.1, largeMib: 7.3, rssMib: 577 },
  { nodeMajor: 26, shape: 'a map', heapMib: 23.2, largeMib: 7.1, rssMib: 731 },
  { nodeMajor: 20, shape: 'an array', heapMib: 18.5, largeMib: 2.2, rssMib: 358 },
  { nodeMajor: 22, shape: 'an array', heapMib: 19.3, largeMib: 2.2, rssMib: 354 },
  { nodeMajor: 24, shape: 'an array', heapMib: 19.7, largeMib: 2.2, rssMib: 347 },
  { nodeMajor: 26, shape: 'an array', heapMib: 19.7, largeMib: 2.1, rssMib: 347 },
])('Node $nodeMajor, $shape: enough memory is predicted for the names of its indexes', (measured) => {
  const { nodeMajor, heapMib, largeMib, rssMib } = measured;
  const readings = captureReadings({ nodeMajor, heapBytes: heapMib * MIB, largeObjectBytes: largeMib * MIB });
  const ratio = predictCost(readings, null).rssBytes / MIB / rssMib;
  expect(ratio).toBeGreaterThan(1);
  expect(ratio).toBeLessThan(1.65);
});

test('large objects add no nodes, and little memory to a forked child, which has smaller buffers for the names', () => {
  const readings = captureReadings({ heapBytes: 512 * MIB, largeObjectBytes: 500 * MIB });
  const large = predictCost(readings, null);
  const { rssBytes, ...small } = predictCost(captureReadings(), null);
  expect(large).toMatchObject(small);
  expect(large.rssBytes).toBeGreaterThan(rssBytes);
  const forked = predictWith(readings, { fork: null, inprocess: null }, 'fork');
  expect(forked.rssBytes).toBeLessThan(large.rssBytes / 10);
});

const LEARNED: LearnedCost = {
  nodes: 100_000,
  smallObjectBytes: 10 * MIB,
  residentBytes: 100 * MIB,
  pauseMs: 300,
  cpuMs: 300,
  fileBytes: 10 * MIB,
  rssGrowthBytes: 60 * MIB,
};

test('uses the measured cost of the last snapshot', () => {
  const cost = predictCost(captureReadings({ heapBytes: 10 * MIB, slackBytes: 100 * MIB }), LEARNED);
  expect(cost.nodes).toBe(100_000);
  expect(cost.pauseMs).toBeCloseTo(300);
  expect(cost.fileBytes).toBeCloseTo(10 * MIB);
});

test('subtracts the memory that an earlier snapshot left with malloc, as far as it is still there', () => {
  const rss = (slackBytes: number) => predictCost(captureReadings({ slackBytes }), LEARNED).rssBytes;
  expect(rss(100 * MIB)).toBeLessThan(rss(10 * MIB));
  expect(rss(1000 * MIB)).toBe(rss(100 * MIB));
  expect(rss(1000 * MIB)).toBeGreaterThanOrEqual(16 * MIB);
});

test('counts growth since the last snapshot as small objects', () => {
  const cost = predictCost(captureReadings({ heapBytes: 43 * MIB }), LEARNED);
  expect(cost.nodes).toBeGreaterThan(1_000_000);
});

test('predicts fewer nodes in proportion when the heap has shrunk since the last snapshot', () => {
  expect(predictCost(captureReadings({ heapBytes: 5 * MIB }), LEARNED).nodes).toBe(50_000);
});

test('ignores a learned cost without nodes', () => {
  expect(predictCost(captureReadings(), { ...LEARNED, nodes: 0 })).toEqual(
    predictCost(captureReadings(), null),
  );
});

// Measured peaks: pairs of 18, 73, 225 and 678 MB together.
test.each([
  [[8.7e6, 9.5e6], 89e6],
  [[33.8e6, 39e6], 185e6],
  [[102.6e6, 122.5e6], 368e6],
  [[308e6, 370e6], 890e6],
])('predicts the memory of the analysis of %j within 15 %% of the measured peak', (sizes, peak) => {
  expect(analysisRssBytes(sizes) / peak).toBeGreaterThan(0.85);
  expect(analysisRssBytes(sizes) / peak).toBeLessThan(1.15);
  expect(childHeapMib(analysisRssBytes(sizes))).toBeGreaterThanOrEqual(96);
});

// Measured peaks of private memory by Node's major version: heaps of 5, 40 and 100 MB with one array of small objects.
test.each([
  [20, 14.6e6, 19.2e6],
  [20, 85.2e6, 27.2e6],
  [20, 220.1e6, 33.6e6],
  [24, 14.6e6, 25.8e6],
  [26, 14.6e6, 26.5e6],
  [26, 85.2e6, 39e6],
])(
  'predicts the memory of the redaction with Node %d of %d bytes: the measured peak and up to a third more',
  (nodeMajor, size, peak) => {
    expect(redactionBytes(size, nodeMajor) / peak).toBeGreaterThan(1);
    expect(redactionBytes(size, nodeMajor) / peak).toBeLessThan(1.34);
  },
);

describe('with a fork', () => {
  const fork = (over: Partial<CaptureReadings> = {}, learned: LearnedCost | null = null) =>
    predictWith(captureReadings(over), { fork: learned, inprocess: null }, 'fork');

  // Measured: RSS at the fork and the stop of the server, with the marks of the heap.
  test.each([
    [143, 8.9],
    [713, 52],
    [2000, 131],
    [3200, 263],
  ])('an RSS of %d MiB stops the server for about %d ms', (rssMib, stopMs) => {
    const { pauseMs } = fork({ rssBytes: rssMib * MIB });
    expect(pauseMs / stopMs).toBeGreaterThan(0.9);
    expect(pauseMs / stopMs).toBeLessThan(1.8);
  });

  test('the objects of the heap cost CPU time, but no pause', () => {
    const small = fork();
    const large = fork({ heapBytes: 150 * MIB });
    expect(large.pauseMs).toBe(small.pauseMs);
    expect(large.cpuMs).toBeGreaterThan(20_000);
  });

  test('the copied pages of the server add to the memory, at most 125 MiB of them', () => {
    const base = fork({ rssBytes: 0 }).rssBytes;
    expect(base).toBeLessThan(predictCost(captureReadings(), null).rssBytes);
    expect(fork({ rssBytes: 60 * MIB }).rssBytes - base).toBe(60 * MIB);
    expect(fork({ rssBytes: 4000 * MIB }).rssBytes - base).toBe(125 * MIB);
  });

  test('a machine on which the last fork took long is expected to take long again, never less than the table', () => {
    const pauseMs = fork().pauseMs;
    const residentBytes = captureReadings().rssBytes;
    expect(fork({}, { ...LEARNED, residentBytes, pauseMs: pauseMs * 3 }).pauseMs).toBeCloseTo(pauseMs * 3);
    expect(fork({}, { ...LEARNED, residentBytes, pauseMs: 1 }).pauseMs).toBe(pauseMs);
  });

  test('knows the number of objects from a snapshot of the other method', () => {
    const learned = { fork: null, inprocess: LEARNED };
    expect(predictWith(captureReadings({ heapBytes: 10 * MIB }), learned, 'fork').nodes).toBe(100_000);
  });
});
