import { decideAfterShortage, decideCapture, headroomBytes } from '../../../src/capture/gate.ts';
import type { CaptureBudget, CaptureReadings, CaptureState, Refused } from '../../../src/types/index.ts';
import { refused } from '../../../src/core/outcome.ts';
import { captureReadings, MIB } from '../../support/capture-readings.ts';

const BUDGET: CaptureBudget = {
  method: 'inprocess',
  pauseBudgetMs: null,
  noSpillBecause: 'WSGUARD_SPILL=off',
  maxFiles: 10,
  redact: true,
};
const FIRST: CaptureState = { isRunning: false, filesKept: 0, learned: { fork: null, inprocess: null } };

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
  const readings = { containerBytes: 400 * MIB, containerUsedBytes: 220 * MIB };
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
  [
    { state: { filesOfLeak: 6 }, budget: { maxFilesOfLeak: 6 } },
    '6 snapshots of this leak were taken within a day, the limit is 6',
  ],
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

test('a fork is refused where its part of a CPU core does not suffice within its deadline', () => {
  const budget = { method: 'fork' } as const;
  const readings = { heapBytes: 500 * MIB, rssBytes: 600 * MIB, containerBytes: null, availableBytes: 1e12 };
  expect(refusalOf({ readings: { ...readings, cpuShare: 0.125 }, budget })).toEqual({
    outcome: 'refused',
    reason: expect.stringMatching(
      /^needs about \d+ min with the 0\.125 of a CPU core that it may use, the limit is 8 min$/,
    ),
  });
  expect(decide({ readings, budget }).outcome).toBe('allowed');
  const small = { ...readings, heapBytes: 150 * MIB, cpuShare: 0.125 };
  expect(decide({ readings: small, budget }).outcome).toBe('allowed');
});

describe('a fork whose working memory can move to a file', () => {
  const budget = { method: 'fork', noSpillBecause: null } as const;
  /** A heap of 40 MiB has about a million objects, for which V8 takes 600 MiB. */
  const small = { heapBytes: 40 * MIB, containerBytes: 400 * MIB, containerUsedBytes: 110 * MIB };

  test('is allowed with a bound for the file where memory is short', () => {
    expect(decide({ readings: small, budget })).toMatchObject({
      outcome: 'allowed',
      method: 'fork',
      maxSpillBytes: 480 * MIB,
    });
  });

  test('does not use a file where memory suffices', () => {
    const readings = { ...small, containerBytes: 2000 * MIB };
    expect(decide({ readings, budget })).toMatchObject({ outcome: 'allowed', maxSpillBytes: null });
  });

  test.each<[Given, string]>([
    [{ budget: { ...budget, noSpillBecause: 'WSGUARD_SPILL=off' } }, 'WSGUARD_SPILL=off'],
    [{ budget, readings: { spillUnavailable: '/tmp is in memory itself (tmpfs)' } }, '/tmp is in memory'],
  ])('is refused with the reason why no file is used: %j', ({ readings = {}, ...rest }, reason) => {
    const refusal = refusalOf({ readings: { ...small, ...readings }, ...rest });
    expect(refusal.reason).toMatch(
      /^needs \d+ MiB of memory for about .* available; it cannot move to a file: /,
    );
    expect(refusal.reason).toContain(reason);
    expect(refusal.haveBytes).toBe(290 * MIB);
  });

  test('is refused where also the rest does not fit, with the bytes', () => {
    const refusal = refusalOf({ readings: { ...small, containerBytes: 200 * MIB }, budget });
    expect(refusal.reason).toMatch(
      /^needs \d+ MiB of memory also when the rest moves to a file, 90\.0 MiB available; [\d.]+ MiB more would be enough$/,
    );
    expect(refusal).toMatchObject({ haveBytes: 90 * MIB });
  });

  test('is refused where most of a large heap would be in the file, because it would not end in time', () => {
    // Measured: the deadline of 8 min passed.
    const large = { heapBytes: 500 * MIB, containerBytes: 2048 * MIB, containerUsedBytes: 600 * MIB };
    const refusal = refusalOf({ readings: { ...large, rssBytes: 600 * MIB }, budget });
    expect(refusal.reason).toMatch(
      /^needs [\d.]+ GiB of memory to end within 4 min while the rest moves to a file, 1\.4 GiB available; [\d.]+ GiB more would be enough$/,
    );
    const { needBytes = 0 } = refusal;
    const containerBytes = large.containerUsedBytes + needBytes;
    expect(decide({ readings: { ...large, containerBytes }, budget })).toMatchObject({
      outcome: 'allowed',
      maxSpillBytes: 6000 * MIB,
    });
  });

  test('is asked for after a child that ended for lack of memory, although the prediction fits', () => {
    const shortage = refused('the forked process ended itself because memory ran short');
    const after = (over: Partial<CaptureReadings>, noSpillBecause: string | null = null) =>
      decideAfterShortage(
        shortage,
        captureReadings({ ...small, containerBytes: 2000 * MIB, ...over }),
        { ...BUDGET, method: 'fork', noSpillBecause },
        FIRST,
      );
    expect(after({})).toMatchObject({ outcome: 'allowed', method: 'fork', maxSpillBytes: 480 * MIB });
    expect(after({}, 'WSGUARD_SPILL=off')).toMatchObject({
      reason:
        'the forked process ended itself because memory ran short; it cannot move to a file: WSGUARD_SPILL=off',
    });
    expect(after({ diskFreeBytes: 500 * MIB })).toMatchObject({ outcome: 'refused' });
  });

  test('is refused where the disk has no place for the file', () => {
    const refusal = refusalOf({ readings: { ...small, diskFreeBytes: 500 * MIB }, budget });
    expect(refusal.reason).toMatch(/^needs \d+ MiB of disk space, 500 MiB available$/);
  });
});

describe('the method', () => {
  const large = { heapBytes: 150 * MIB, rssBytes: 260 * MIB, containerBytes: 6000 * MIB };
  const auto = { method: 'auto' } as const;

  test('a heap that would stop the process for seconds is captured with a fork', () => {
    expect(refusalOf({ readings: large }).reason).toContain('needs a pause of about 2');
    const decision = decide({ readings: large, budget: auto });
    expect(decision).toMatchObject({ outcome: 'allowed', method: 'fork', notForkedBecause: null });
    expect(decide({ readings: large, budget: { method: 'fork' } })).toEqual(decision);
  });

  test('without a fork the process writes a small heap itself, and the reason is kept', () => {
    const readings = { forkUnavailable: 'a forked capture needs Linux, this is darwin' };
    expect(decide({ readings, budget: auto })).toMatchObject({
      method: 'inprocess',
      notForkedBecause: 'cannot fork: a forked capture needs Linux, this is darwin',
    });
    expect(refusalOf({ readings, budget: { method: 'fork' } }).reason).toMatch(/^cannot fork: /);
  });

  test('when neither is possible both reasons are given, with the bytes of the fork', () => {
    const readings = { ...large, containerBytes: 900 * MIB };
    const refusal = refusalOf({ readings, budget: auto });
    expect(refusal.reason).toMatch(
      /^in a forked process: needs \d\.\d GiB of memory .*; in this process: needs a pause of /,
    );
    expect(refusal.haveBytes).toBe(800 * MIB);
  });

  test('the same reason is given once', () => {
    const readings = { diskFreeBytes: 10 * MIB, heapBytes: 0 };
    expect(refusalOf({ readings, budget: auto }).reason).toBe(
      'needs 64.0 MiB of disk space, 10.0 MiB available',
    );
  });

  test.each([
    ['fork', 5000, 250],
    ['inprocess', 100, 2000],
  ] as const)('%s has its own pause budget, and one setting replaces both', (method, rssMib, budgetMs) => {
    const readings = { ...large, rssBytes: rssMib * MIB };
    expect(refusalOf({ readings, budget: { method } }).reason).toContain(
      `the budget is ${budgetMs === 2000 ? '2,000' : budgetMs} ms`,
    );
    const patient = decide({ readings, budget: { method, pauseBudgetMs: 600_000 } });
    expect(patient.outcome).toBe('allowed');
  });
});

test('a directory that is not safe is the reason', () => {
  const directoryRefused = 'every user can write to /srv/data: use a folder below it';
  expect(refusalOf({ readings: { directoryRefused } }).reason).toBe(directoryRefused);
});
