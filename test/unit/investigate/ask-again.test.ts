import {
  addTraffic,
  afterAnswer,
  isWorthAsking,
  NO_TRAFFIC,
  surroundingsOf,
  type Surroundings,
} from '../../../src/investigate/ask-again.ts';
import { initialState, type InvestigationEvent } from '../../../src/investigate/investigation-state.ts';
import { phaseOf, transition } from '../../../src/investigate/investigation.ts';
import type { Sample, Snapshot } from '../../../src/types/index.ts';
import { alertOf } from '../../support/alerts.ts';
import { byTransport, sampleOf } from '../../support/samples.ts';

const MINUTE_MS = 60_000;
const MIB = 1024 * 1024;

const sampleWith = (
  sent: number,
  { heapMib = 100, usedMib = null }: { heapMib?: number; usedMib?: number | null } = {},
): Sample => {
  const base = sampleOf();
  const containerBytes = usedMib === null ? null : 1000 * MIB;
  return sampleOf({
    connections: { ...base.connections, openedTotal: byTransport(0), messagesSentTotal: sent },
    memory: { ...base.memory, heapUsedBytes: heapMib * MIB },
    limits: { ...base.limits, containerBytes, containerUsedBytes: usedMib === null ? null : usedMib * MIB },
  });
};

const traffic = (counts: readonly number[]) => {
  let sent = 0;
  let result = addTraffic(NO_TRAFFIC, sampleWith(0));
  for (const count of counts) result = addTraffic(result, sampleWith((sent += count)));
  return result;
};

const at = (minutes: number, more: Partial<Surroundings> = {}): Surroundings => ({
  atMs: minutes * MINUTE_MS,
  heapBytes: 100 * MIB,
  availableBytes: 50 * MIB,
  isQuiet: false,
  ...more,
});

describe('traffic', () => {
  const isQuietAfter = (counts: readonly number[]): boolean =>
    surroundingsOf(sampleWith(0), traffic(counts), 0).isQuiet;
  const busy = Array.from({ length: 19 }, () => 1_000);

  test.each([
    ['a quarter of the busiest sample', [...busy, 250], true],
    ['above that', [...busy, 251], false],
    ['too few samples', [1_000, 0], false],
    ['a counter that starts anew counts as none', [...busy, -19_000], true],
  ])('%s', (_, counts, expected) => expect(isQuietAfter(counts)).toBe(expected));

  test('the total before the first sample does not count, and the window has an hour', () => {
    expect(addTraffic(NO_TRAFFIC, sampleWith(5_000)).recent).toEqual([]);
    expect(traffic(Array.from({ length: 500 }, () => 1)).recent).toHaveLength(240);
  });

  test('a container without a limit has no free memory to compare', () => {
    expect(surroundingsOf(sampleWith(0), NO_TRAFFIC, 0).availableBytes).toBeNull();
    expect(surroundingsOf(sampleWith(0, { usedMib: 900 }), NO_TRAFFIC, 0).availableBytes).toBe(100 * MIB);
  });
});

test.each<[string, boolean, Surroundings, Surroundings]>([
  ['not within ten minutes', false, at(0), at(9.9, { heapBytes: 1, isQuiet: true })],
  ['not without a change', false, at(0), at(10)],
  ['when the heap is smaller by a tenth', true, at(0), at(10, { heapBytes: 90 * MIB })],
  ['not when it is larger', false, at(0), at(10, { heapBytes: 200 * MIB })],
  ['when a tenth more memory is free', true, at(0), at(10, { availableBytes: 56 * MIB })],
  ['not when less is free', false, at(0), at(10, { availableBytes: 45 * MIB })],
  ['not when the free memory is unknown', false, at(0, { availableBytes: null }), at(10)],
  ['when the traffic is low', true, at(0), at(10, { isQuiet: true })],
  ['not when it was low already', false, at(0, { isQuiet: true }), at(10, { isQuiet: true })],
  ['after an hour in any case', true, at(0), at(60)],
])('a refused snapshot is requested again %s', (_, expected, refused, now) => {
  expect(isWorthAsking(refused, now, 1)).toBe(expected);
  const scaled = { ...now, atMs: now.atMs / 60 };
  expect(isWorthAsking(refused, scaled, 60)).toBe(expected);
});

test('an answer replaces the refusal before, and another outcome removes it', () => {
  const first = afterAnswer(new Map(), new Map([['a', 1]]), at(0));
  const second = afterAnswer(first, new Map([['a', 2], ['b', 3]]), at(5)); // prettier-ignore
  expect([...second.values()].map(({ entry, surroundings }) => [entry, surroundings.atMs])).toEqual([
    [2, 5 * MINUTE_MS],
    [3, 5 * MINUTE_MS],
  ]);
  expect([...afterAnswer(second, new Map([['a', 2]]), null).keys()]).toEqual(['b']);
});

describe('an investigation whose snapshot is refused', () => {
  const LEAK = alertOf({ id: 'a', kind: 'heap-growth', timeToLimit: null, culprit: null });
  const REFUSED: Snapshot = { outcome: 'refused', reason: 'needs 300 MiB', needBytes: 3, haveBytes: 1 };
  const WRITTEN: Snapshot = {
    outcome: 'written',
    file: 'f.heapsnapshot.gz',
    method: 'fork',
    pauseMs: 9,
    bytes: 9e6,
    redacted: true,
  };

  function start() {
    let state = initialState(1);
    let minute = 0;
    const dispatch = (event: InvestigationEvent, afterMinutes = 0): string[] => {
      minute += afterMinutes;
      const next = transition(state, event, minute * MINUTE_MS);
      state = next.state;
      return next.actions.map((action) =>
        action.type === 'update-alert' ? `update ${Object.keys(action.update).join('+')}` : action.type,
      );
    };
    const sample = (heapMib: number, afterMinutes: number): string[] =>
      dispatch({ type: 'sample', sample: sampleWith(0, { heapMib }), isSuspected: false }, afterMinutes);
    const answer = (snapshot: Snapshot): string[] => dispatch({ type: 'snapshot-ended', snapshot });
    sample(100, 0);
    dispatch({ type: 'alert', alert: LEAK });
    expect(answer(REFUSED)).toEqual(['update snapshot+culpritBecause']);
    // After the profile nothing is left to look at.
    sample(100, 15);
    expect(phaseOf(state)).toBe('idle');
    return { dispatch, sample, answer, phase: () => phaseOf(state) };
  }

  test('asks again when the heap is smaller, and goes on as if it were the first time', () => {
    const { sample, answer, phase } = start();
    expect(sample(98, 1)).toEqual([]);
    expect(sample(80, 1)).toEqual(['take-snapshot']);
    expect(answer(WRITTEN)).toEqual(['update snapshot+culpritBecause']);
    expect(phase()).toBe('waiting-for-traffic');
  });

  test('does not repeat a refusal in the alert', () => {
    const { sample, answer, phase } = start();
    expect(sample(80, 1)).toEqual(['take-snapshot']);
    expect(answer(REFUSED)).toEqual([]);
    expect(phase()).toBe('idle');
    expect(sample(80, 10)).toEqual([]);
    expect(sample(80, 50)).toEqual(['take-snapshot']);
  });

  test('refusals do not use up the quota of rounds', () => {
    const { sample, answer } = start();
    for (let hour = 0; hour < 12; hour += 1) {
      expect(sample(100, 60)).toEqual(['take-snapshot']);
      expect(answer(REFUSED)).toEqual([]);
    }
  });

  test('an alert that closes is not asked for again', () => {
    const { dispatch, sample } = start();
    dispatch({ type: 'alert', alert: { ...LEAK, event: 'closed' } });
    expect(sample(50, 60)).toEqual([]);
  });

  test('a failed snapshot is not requested again', () => {
    const { sample, answer } = start();
    expect(sample(80, 1)).toEqual(['take-snapshot']);
    answer({ outcome: 'failed', code: 'WSGUARD_FORK_FAILED', reason: 'signal 11' });
    sample(80, 15);
    expect(sample(50, 120)).toEqual([]);
  });
});
