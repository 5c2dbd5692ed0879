import {
  addReading,
  afterRequest,
  isSnapshotDue,
  NOTHING_NEAR,
  type NearLimit,
} from '../../../src/investigate/near-limit.ts';
import { sampleOf } from '../../support/samples.ts';

const MB = 1024 * 1024;
const SAMPLE_MS = 15_000;

/** Samples each 15 s. Both limits are 1000 MB. */
function after(usedMb: readonly number[], what: 'heap' | 'container', state = NOTHING_NEAR): NearLimit {
  const sample = sampleOf();
  const startMs = (state.readings.at(-1)?.atMs ?? 0) + SAMPLE_MS;
  return usedMb.reduce(
    (last, mb, index) =>
      addReading(
        last,
        {
          ...sample,
          uptimeMs: startMs + index * SAMPLE_MS,
          memory: { ...sample.memory, oldSpaceBytes: (what === 'heap' ? mb : 100) * MB },
          limits: {
            ...sample.limits,
            heapCapacityBytes: 1000 * MB,
            containerBytes: 1000 * MB,
            containerUsedBytes: (what === 'container' ? mb : 100) * MB,
          },
        },
        1,
      ),
    state,
  );
}
const ramp = (fromMb: number, toMb: number, count = 20): number[] =>
  Array.from({ length: count }, (_, n) => fromMb + ((toMb - fromMb) * n) / (count - 1));

test.each(['heap', 'container'] as const)('a %s that is full within minutes', (what) => {
  expect(isSnapshotDue(after(ramp(500, 900), what))).toBe(true);
});

test.each<[string, number[]]>([
  ['less than 70 % in use', ramp(100, 650)],
  ['95 % in use without growth', ramp(950, 950)],
  ['growth that takes an hour', ramp(800, 815)],
  ['garbage that is collected', Array.from({ length: 20 }, (_, n) => (n % 5 === 0 ? 300 : 900))],
  ['less than three minutes of samples', ramp(700, 900, 11)],
])('%s is no reason', (_, usedMb) => {
  expect(isSnapshotDue(after(usedMb, 'heap'))).toBe(false);
});

test('after a snapshot not again for a day, after a refusal again in a minute', () => {
  const near = after(ramp(500, 800), 'heap');
  const more = ramp(800, 850, 5);
  expect(isSnapshotDue(after(more, 'heap', afterRequest(near, true)))).toBe(false);
  expect(isSnapshotDue(after(more, 'heap', afterRequest(near, false)))).toBe(true);
  expect(isSnapshotDue(after(more.slice(0, 2), 'heap', afterRequest(near, false)))).toBe(false);
});
