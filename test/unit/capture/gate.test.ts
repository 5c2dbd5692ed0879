import { decideCapture, headroomBytes } from '../../../src/capture/gate.ts';
import type { CaptureBudget, CaptureReadings, CaptureState, Refused } from '../../../src/types/index.ts';
import { captureReadings, MIB } from '../../support/capture-readings.ts';

const BUDGET: CaptureBudget = { method: 'auto', pauseBudgetMs: 2000, maxFiles: 10, redact: true };
const FIRST: CaptureState = { isRunning: false, filesKept: 0, learned: null };

interface Given {
  readonly readings?: Partial<CaptureReadings>;
  readonly budget?: Partial<CaptureBudget>;
  readonly state?: Partial<CaptureState>;
}
const decide = ({ readings = {}, budget = {}, state = {} }: Given) =>
  decideCapture(captureReadings(readings), { ...BUDGET, ...budget }, { ...FIRST, ...state });
/** The refusal; fails the test when the snapshot is allowed. */
function refusalOf(given: Given): Refused {
  const decision = decide(given);
  if (decision.outcome === 'allowed') throw new Error('expected a refusal');
  return decision;
}

test('allows a snapshot of a small heap in a large container, with its predicted cost', () => {
  expect(decide({})).toMatchObject({ outcome: 'allowed', cost: { nodes: expect.any(Number) } });
});

test('refuses a pause above the budget with both numbers and the name of the setting', () => {
  const heap = { heapBytes: 60 * MIB };
  expect(refusalOf({ readings: heap }).reason).toMatch(
    /^needs a pause of about \d,\d{3} ms, the budget is 2,000 ms \(WSGUARD_PAUSE_BUDGET_MS\)$/,
  );
  const budget = { pauseBudgetMs: 1, pauseSetting: 'pauseBudgetMs' };
  expect(refusalOf({ readings: heap, budget }).reason).toContain('is 1 ms (pauseBudgetMs)');
});

test.each([
  ['the container', { containerBytes: 200 * MIB, containerUsedBytes: 150 * MIB }, 50],
  ['the machine', { containerBytes: null, containerUsedBytes: null, availableBytes: 40 * MIB }, 40],
])('refuses with the bytes when %s has too little memory', (_, readings, haveMib) => {
  const refusal = refusalOf({ readings });
  expect(refusal).toMatchObject({ outcome: 'refused', haveBytes: haveMib * MIB });
  expect(refusal.needBytes).toBeGreaterThan(haveMib * MIB);
  expect(refusal.reason).toMatch(
    new RegExp(`^needs \\d+ MiB of memory for about [\\d,]+ objects, ${haveMib}\\.0 MiB available$`),
  );
});

test('counts the memory of the redaction that follows', () => {
  const readings = { containerBytes: 400 * MIB, containerUsedBytes: 150 * MIB };
  expect(decide({ readings }).outcome).toBe('refused');
  expect(decide({ readings, budget: { redact: false } }).outcome).toBe('allowed');
});

test('allows any memory where no limit is known, and any file where the free disk space is unknown', () => {
  const unknown = {
    containerBytes: null,
    containerUsedBytes: null,
    availableBytes: null,
    diskFreeBytes: null,
  };
  expect(decide({ readings: unknown }).outcome).toBe('allowed');
});

test('refuses with the bytes when the disk or the heap is nearly full', () => {
  expect(refusalOf({ readings: { diskFreeBytes: 60 * MIB } })).toMatchObject({
    haveBytes: 60 * MIB,
    reason: expect.stringMatching(/^needs \d+(\.\d)? MiB of disk space, 60\.0 MiB available$/),
  });
  expect(refusalOf({ readings: { heapCapacityBytes: 64 * MIB, oldSpaceBytes: 60 * MIB } })).toMatchObject({
    needBytes: 8 * MIB,
    haveBytes: 4 * MIB,
    reason: 'too little free heap: needs 8.0 MiB, 4.0 MiB available',
  });
});

test.each([
  [{ state: { isRunning: true } }, 'another snapshot is being taken'],
  [{ state: { filesKept: 10 } }, '10 snapshot files are kept, the limit is 10'],
  [{ budget: { method: 'off' } }, 'snapshots are switched off (WSGUARD_SNAPSHOT=off)'],
] as const)('refuses %j: %s', (given, reason) => {
  expect(refusalOf(given)).toEqual({ outcome: 'refused', reason });
});

test('the headroom is the smaller one of container and machine, and null when neither is known', () => {
  const none = { containerBytes: null, containerUsedBytes: null, availableBytes: null };
  expect(headroomBytes(none)).toBeNull();
  expect(headroomBytes({ ...none, availableBytes: 7 })).toBe(7);
  expect(headroomBytes({ containerBytes: 10, containerUsedBytes: 4, availableBytes: 7 })).toBe(6);
  expect(headroomBytes({ containerBytes: 10, containerUsedBytes: 12, availableBytes: null })).toBe(0);
});
