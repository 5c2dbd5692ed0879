import { headroomBytes, decideCapture, predictCost } from '../../../src/capture/gate.ts';
import type { CaptureBudget, CaptureReadings, CaptureState, LearnedCost } from '../../../src/types/index.ts';

const MIB = 1024 * 1024;

const readings = (over: Partial<CaptureReadings> = {}): CaptureReadings => ({
  heapBytes: 12 * MIB,
  largeObjectBytes: 0,
  oldSpaceBytes: 11 * MIB,
  heapCapacityBytes: 2000 * MIB,
  rssBytes: 70 * MIB,
  slackBytes: 20 * MIB,
  containerBytes: 1024 * MIB,
  containerUsedBytes: 100 * MIB,
  availableBytes: 8000 * MIB,
  diskFreeBytes: 10_000 * MIB,
  nodeMajor: 20,
  ...over,
});
const BUDGET: CaptureBudget = {
  method: 'auto',
  pauseBudgetMs: 2000,
  maxFiles: 10,
  cooldownMs: 60_000,
  redact: true,
};
const FIRST: CaptureState = { running: false, sinceLastMs: null, filesKept: 0, learned: null };
const refusal = (permit: ReturnType<typeof decideCapture>) => ('outcome' in permit ? permit : null);

test('a small heap in a roomy container may be captured in the process', () => {
  const permit = decideCapture(readings(), BUDGET, FIRST);
  expect(permit).toMatchObject({ may: true, method: 'inprocess' });
});

// Measured with `express` and 80 MB of small objects: nodes, pause and peak RSS over the RSS before.
test.each([
  { nodeMajor: 20, heapMib: 83, largeMib: 14, nodes: 1_936_634, pauseMs: 7185, rssMib: 832 },
  { nodeMajor: 22, heapMib: 81, largeMib: 14, nodes: 1_920_075, pauseMs: 7067, rssMib: 804 },
  { nodeMajor: 24, heapMib: 73, largeMib: 7, nodes: 1_902_185, pauseMs: 4559, rssMib: 766 },
  { nodeMajor: 26, heapMib: 70, largeMib: 7, nodes: 1_785_561, pauseMs: 3965, rssMib: 737 },
])('predicts node $nodeMajor from above and not by more than three fifths', (measured) => {
  const { nodeMajor, heapMib, largeMib } = measured;
  const cost = predictCost(
    readings({ nodeMajor, heapBytes: heapMib * MIB, largeObjectBytes: largeMib * MIB }),
    null,
  );
  for (const [predicted, real] of [
    [cost.nodes, measured.nodes],
    [cost.pauseMs, measured.pauseMs],
    [cost.rssBytes / MIB, measured.rssMib],
  ] as const) {
    expect(predicted / real).toBeGreaterThan(0.95);
    expect(predicted / real).toBeLessThan(1.65);
  }
});

test('large objects are few nodes', () => {
  const large = predictCost(readings({ heapBytes: 512 * MIB, largeObjectBytes: 500 * MIB }), null);
  expect(large).toEqual(predictCost(readings(), null));
});

const LEARNED: LearnedCost = {
  nodes: 100_000,
  smallObjectBytes: 10 * MIB,
  pauseMs: 300,
  fileBytes: 10 * MIB,
  rssGrowthBytes: 60 * MIB,
};

test('its own earlier snapshot teaches it what a node costs here', () => {
  const cost = predictCost(readings({ heapBytes: 10 * MIB, slackBytes: 100 * MIB }), LEARNED);
  expect(cost.nodes).toBe(100_000);
  expect(cost.pauseMs).toBeCloseTo(300);
  expect(cost.fileBytes).toBeCloseTo(10 * MIB);
});

test('what an earlier snapshot left with malloc is used again, as far as it is still there', () => {
  const rss = (slackBytes: number) => predictCost(readings({ slackBytes }), LEARNED).rssBytes;
  expect(rss(100 * MIB)).toBeLessThan(rss(10 * MIB));
  expect(rss(1000 * MIB)).toBe(rss(100 * MIB));
  expect(rss(1000 * MIB)).toBeGreaterThanOrEqual(16 * MIB);
});

test('growth since then is taken for small objects', () => {
  const cost = predictCost(readings({ heapBytes: 43 * MIB }), LEARNED);
  expect(cost.nodes).toBeGreaterThan(1_000_000);
});

test('a pause over the budget is refused with both numbers', () => {
  const no = refusal(decideCapture(readings({ heapBytes: 60 * MIB }), BUDGET, FIRST));
  expect(no?.reason).toMatch(/stop for about \d{4,} ms, the budget is 2000 ms/);
});

test.each([
  ['the container', { containerBytes: 200 * MIB, containerUsedBytes: 150 * MIB }, 50],
  ['the machine', { containerBytes: null, containerUsedBytes: null, availableBytes: 40 * MIB }, 40],
])('too little memory in %s is refused with the bytes', (_, over, haveMib) => {
  const no = refusal(decideCapture(readings(over), BUDGET, FIRST));
  expect(no).toMatchObject({ outcome: 'refused', haveBytes: haveMib * MIB });
  expect(no?.needBytes).toBeGreaterThan(haveMib * MIB);
});

test('redaction afterwards needs memory of its own', () => {
  const tight = readings({ containerBytes: 400 * MIB, containerUsedBytes: 150 * MIB });
  expect(refusal(decideCapture(tight, BUDGET, FIRST))).not.toBeNull();
  expect(refusal(decideCapture(tight, { ...BUDGET, redact: false }, FIRST))).toBeNull();
});

test('a full disk and a full heap are refused with the bytes', () => {
  const disk = refusal(decideCapture(readings({ diskFreeBytes: 60 * MIB }), BUDGET, FIRST));
  expect(disk).toMatchObject({ haveBytes: 60 * MIB, reason: expect.stringContaining('disk') });
  const heap = refusal(
    decideCapture(readings({ heapCapacityBytes: 64 * MIB, oldSpaceBytes: 60 * MIB }), BUDGET, FIRST),
  );
  expect(heap).toMatchObject({ haveBytes: 4 * MIB, reason: expect.stringContaining('heap limit') });
});

test.each([
  [{ running: true }, {}, 'another snapshot'],
  [{ filesKept: 10 }, {}, '10 snapshot files are kept'],
  [{ sinceLastMs: 59_000 }, {}, 'next one in 1 s'],
  [{}, { method: 'off' }, 'WSGUARD_SNAPSHOT=off'],
] as const)('%j with %j is refused: %s', (state, budget, reason) => {
  const no = refusal(decideCapture(readings(), { ...BUDGET, ...budget }, { ...FIRST, ...state }));
  expect(no?.reason).toContain(reason);
});

test('the headroom is the smaller one, and null where nothing is known', () => {
  const none = { containerBytes: null, containerUsedBytes: null, availableBytes: null };
  expect(headroomBytes(none)).toBeNull();
  expect(headroomBytes({ ...none, availableBytes: 7 })).toBe(7);
  expect(headroomBytes({ containerBytes: 10, containerUsedBytes: 4, availableBytes: 7 })).toBe(6);
  expect(headroomBytes({ containerBytes: 10, containerUsedBytes: 12, availableBytes: null })).toBe(0);
});
