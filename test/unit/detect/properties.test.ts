import fc from 'fast-check';
import type { Kind, Sample } from '../../../src/types/index.ts';
import { MINUTE, run, sampleAt, createTestDetection, type Shape } from '../../support/run.ts';

/** A server in two numbers: what each minute adds, and how noisy it is. */
interface Server {
  readonly perMinute: number;
  readonly noise: readonly number[];
}
const servers = fc.record({
  perMinute: fc.constantFrom(0, 0, 3, 9, 20),
  noise: fc.array(fc.integer({ min: -3, max: 3 }), { minLength: 80, maxLength: 80 }),
});
const MINUTES = 40;
/** Each run asks the same. Whoever changes a detector takes it away and raises `numRuns` for a while. */
const SEED = 7;
const entriesAt = ({ perMinute, noise }: Server, minute: number): number =>
  600 + perMinute * minute + (noise[Math.floor(minute * 2) % noise.length] ?? 0);
const registry = (entries: number): Shape => ({
  more: { registries: [{ name: 'clients', entries, source: 'app' }] },
});
const toldOf = (shape: (minute: number) => Shape, everyMs?: number): readonly string[] =>
  run(MINUTES, shape, everyMs === undefined ? {} : { everyMs }).opened;

test('adding a constant to a count changes no verdict', () => {
  fc.assert(
    fc.property(servers, fc.integer({ min: 0, max: 5_000 }), (server, constant) => {
      const plain = toldOf((minute) => registry(entriesAt(server, minute)));
      expect(toldOf((minute) => registry(entriesAt(server, minute) + constant))).toEqual(plain);
    }),
    { numRuns: 25, seed: SEED },
  );
});

test('doubling the sampling rate changes no verdict', () => {
  fc.assert(
    fc.property(servers, (server) => {
      const shape = (minute: number) => registry(entriesAt(server, Math.floor(minute * 2) / 2));
      expect(toldOf(shape, 7_500)).toEqual(toldOf(shape, 15_000));
    }),
    { numRuns: 25, seed: SEED },
  );
});

test('shuffling samples that say the same changes no verdict', () => {
  const order = fc.shuffledSubarray([0, 1, 2, 3], { minLength: 4, maxLength: 4 });
  fc.assert(
    fc.property(servers, order, (server, within) => {
      const byMinute = (minute: number) => registry(entriesAt(server, Math.floor(minute)));
      const plain = toldOf(byMinute);
      // Four samples a minute, all equal: in which order they were read is not to be seen.
      const shuffled = (minute: number) =>
        byMinute(Math.floor(minute) + (within[Math.round((minute % 1) * 4)] ?? 0) / 4);
      expect(toldOf(shuffled)).toEqual(plain);
    }),
    { numRuns: 25, seed: SEED },
  );
});

test('scaling bytes and capacity alike changes no verdict on memory', () => {
  const rises = fc.record({ perMinute: fc.constantFrom(0, 0.2, 1.5, 4), scale: fc.constantFrom(0.5, 2, 10) });
  fc.assert(
    fc.property(rises, ({ perMinute, scale }) => {
      const heap =
        (factor: number) =>
        (minute: number): Shape => ({
          capacityMb: 512 * factor,
          oldMb: (60 + perMinute * minute) * factor,
          heapTotalMb: 400 * factor,
          rssMb: 500 * factor,
          ...(minute > 0 && minute % 4 === 0 ? { floorMb: (50 + perMinute * minute) * factor } : {}),
        });
      const told = (factor: number) => run(90, heap(factor)).opened;
      expect(told(scale)).toEqual(told(1));
    }),
    { numRuns: 12, seed: SEED },
  );
});

/** Every number of a sample, replaced by something that is none. */
function spoil(value: unknown, pick: () => unknown): unknown {
  if (typeof value === 'number') return pick();
  if (Array.isArray(value)) return value.map((item) => spoil(item, pick));
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, spoil(item, pick)]));
}

test('NaN, negative, huge and missing values never throw and never alarm', () => {
  const bad = fc.constantFrom(Number.NaN, -1, -1e300, Number.POSITIVE_INFINITY, 1e300, undefined, null);
  fc.assert(
    fc.property(fc.array(bad, { minLength: 40, maxLength: 40 }), (picked) => {
      const detection = createTestDetection();
      const opened: Kind[] = [];
      for (let i = 0; i < 240; i += 1) {
        const clean = sampleAt(i, i * 15_000, i % 8 === 0 ? { floorMb: 45 } : {});
        let at = i;
        const spoiled = spoil(clean, () => picked[(at += 7) % picked.length]) as Sample;
        const timed = {
          ...spoiled,
          seq: i,
          atMs: clean.atMs,
          uptimeMs: clean.uptimeMs,
          wallMs: clean.wallMs,
        };
        opened.push(...detection.addSample(timed).transitions.map(({ kind }) => kind));
      }
      expect(opened).toEqual([]);
    }),
    { numRuns: 40, seed: SEED },
  );
});

test('times that are none, or run backwards, never throw and never alarm', () => {
  const times = fc.array(fc.oneof(fc.double(), fc.integer({ min: -1000, max: 10 * MINUTE })), {
    maxLength: 60,
  });
  fc.assert(
    fc.property(times, (atMs) => {
      const detection = createTestDetection();
      for (const [i, at] of atMs.entries()) {
        const step = detection.addSample({ ...sampleAt(i, i * 15_000, {}), atMs: at, uptimeMs: at });
        expect(step.transitions).toEqual([]);
      }
    }),
    { numRuns: 40, seed: SEED },
  );
});
