/** Properties of the verdicts. Each run uses a new seed; fast-check prints it, and the failing input, with a failure. */
import fc from 'fast-check';
import { confirm } from '../../../src/detect/evaluate.ts';
import { findingOf, found, noFinding, type DetectorVerdict } from '../../../src/detect/detector.ts';
import { rankOf } from '../../../src/kinds/index.ts';
import type { Kind, Sample } from '../../../src/types/index.ts';
import { MINUTE, run, sampleAt, createTestDetection, type Shape } from '../../support/run.ts';

/** A server whose registry grows by a number per minute, with noise. */
interface Server {
  readonly perMinute: number;
  readonly noise: readonly number[];
}
const servers = fc.record({
  perMinute: fc.constantFrom(0, 0, 3, 9, 20),
  noise: fc.array(fc.integer({ min: -3, max: 3 }), { minLength: 80, maxLength: 80 }),
});
/** Registered entries may be sessions of an hour, so a leak is certain only after that. */
const MINUTES = 80;
const entriesAt = ({ perMinute, noise }: Server, minute: number): number =>
  600 + perMinute * minute + (noise[Math.floor(minute * 2) % noise.length] ?? 0);
const registry = (entries: number): Shape => ({
  more: { registries: [{ name: 'clients', entries, source: 'app' }] },
});
const openedKinds = (shape: (minute: number) => Shape, everyMs?: number): readonly string[] =>
  run(MINUTES, shape, everyMs === undefined ? {} : { everyMs }).opened;

test('adding a constant to a count changes no verdict', () => {
  fc.assert(
    fc.property(servers, fc.integer({ min: 0, max: 5_000 }), (server, constant) => {
      const plain = openedKinds((minute) => registry(entriesAt(server, minute)));
      expect(openedKinds((minute) => registry(entriesAt(server, minute) + constant))).toEqual(plain);
      if (server.perMinute >= 9) expect(plain).toContain('registry-growth');
    }),
    { numRuns: 12 },
  );
});

test('doubling the sampling rate changes no verdict', () => {
  fc.assert(
    fc.property(servers, (server) => {
      const shape = (minute: number) => registry(entriesAt(server, Math.floor(minute * 2) / 2));
      const kinds = openedKinds(shape, 15_000);
      expect(openedKinds(shape, 7_500)).toEqual(kinds);
      if (server.perMinute >= 9) expect(kinds).toContain('registry-growth');
    }),
    { numRuns: 12 },
  );
});

test('the order of the readings in a sample changes no verdict', () => {
  const names = ['a', 'b', 'c', 'd', 'e'];
  const order = fc.shuffledSubarray(names, { minLength: names.length, maxLength: names.length });
  fc.assert(
    fc.property(servers, order, (server, shuffled) => {
      const shape =
        (listed: readonly string[]) =>
        (minute: number): Shape => ({
          more: {
            registries: listed.map((name) => ({
              name,
              entries: name === 'c' ? entriesAt(server, minute) : 300 + name.charCodeAt(0),
              source: 'app',
            })),
          },
        });
      const subjects = (listed: readonly string[]): readonly string[] =>
        run(MINUTES, shape(listed)).transitions.map(
          ({ event, kind, subject }) => `${event} ${kind} ${subject}`,
        );
      expect(subjects(shuffled)).toEqual(subjects(names));
      if (server.perMinute >= 9) expect(subjects(shuffled)).toContain('opened registry-growth c');
    }),
    { numRuns: 12 },
  );
});

test('a provisional finding stands exactly when memory grows too, wherever it is in the list', () => {
  const kinds = fc.constantFrom<Kind>('heap-growth', 'divergence', 'slow-consumer', 'memory-threshold');
  const others = fc.array(fc.record({ kind: kinds, isFound: fc.boolean() }), { maxLength: 6 });
  fc.assert(
    fc.property(others, fc.nat(6), (list, position) => {
      const details = (kind: Kind) => ({ kind, subject: 's', title: `a title of ${kind}`, evidence: [] });
      const provisional: DetectorVerdict = {
        detector: 'queues',
        answer: 'provisional',
        finding: findingOf(details('queue-growth')),
        evidence: [],
        doubt: 'it may be harmless',
      };
      const verdicts: DetectorVerdict[] = list.map(({ kind, isFound }) =>
        isFound ? found(kind, details(kind)) : noFinding(kind, 'ok', 'nothing'),
      );
      verdicts.splice(position, 0, provisional);
      const memoryGrows = list.some(
        ({ kind, isFound }) => isFound && (kind === 'heap-growth' || kind === 'divergence'),
      );
      const settled = confirm(verdicts);
      expect(settled).toHaveLength(verdicts.length);
      expect(settled.find(({ detector }) => detector === 'queues')?.answer).toBe(
        memoryGrows ? 'found' : 'inconclusive',
      );
      expect(settled.filter(({ detector }) => detector !== 'queues')).toEqual(
        verdicts.filter(({ detector }) => detector !== 'queues'),
      );
    }),
  );
});

test('the opened alert is of the most specific kind that is found', () => {
  fc.assert(
    fc.property(fc.boolean(), fc.boolean(), (withListeners, withRegistry) => {
      const shape = (minute: number): Shape => ({
        unanswering: 8 * minute,
        connections: 600,
        more: {
          registries: [{ name: 'clients', entries: withRegistry ? 600 + 12 * minute : 600, source: 'found' }],
          emitters: [
            {
              emitter: 'bus',
              event: '*',
              listeners: withListeners ? 600 + 12 * minute : 600,
              eventNames: 1,
              source: 'found',
            },
          ],
        },
      });
      const { transitions } = run(25, shape);
      const last = transitions.at(-1);
      expect(last?.kind).toBe('zombie-connections');
      expect(last?.also.every(({ kind }) => rankOf(kind) > rankOf('zombie-connections'))).toBe(true);
      expect(last?.also).toHaveLength(Number(withListeners) + Number(withRegistry));
    }),
    { numRuns: 8 },
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
      const openedAt = (factor: number) => run(90, heap(factor)).opened;
      const kinds = openedAt(1);
      expect(openedAt(scale)).toEqual(kinds);
      if (perMinute >= 1.5) expect(kinds.join()).toMatch(/heap-growth|divergence/);
    }),
    { numRuns: 12 },
  );
});

/** Replaces every number of a value with an invalid one. */
function spoil(value: unknown, pick: () => unknown): unknown {
  if (typeof value === 'number') return pick();
  if (Array.isArray(value)) return value.map((item) => spoil(item, pick));
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, spoil(item, pick)]));
}

test('NaN, negative, huge and missing values never throw and open no alert', () => {
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
    { numRuns: 40 },
  );
});

test('invalid times, and times that run backwards, never throw and open no alert', () => {
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
    { numRuns: 40 },
  );
});
