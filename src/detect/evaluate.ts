/** `evaluate`: all detectors on one view, the second pass over their verdicts, and the findings that alerts are made of. */

import { ALL_KINDS, KINDS, LEAKS, MEMORY_KINDS, rankOf } from '../kinds/index.ts';
import type { Because, Finding, Kind, Verdict } from '../types/index.ts';
import { queueGrowth, registryGrowth, roomGrowth } from './collection-growth.ts';
import { noFinding, type Detector, type DetectorVerdict, type View } from './detector.ts';
import { divergence } from './divergence.ts';
import { heapGrowth } from './heap-growth.ts';
import { listenerAccumulation } from './listener-accumulation.ts';
import { exhaustion, memoryThreshold } from './memory-conditions.ts';
import { externalBuffers, nativeMemory } from './memory-outside-heap.ts';
import { connectionLimit, descriptorLimit, gcPressure, loopLag } from './process-conditions.ts';
import { resourceGrowth } from './resource-growth.ts';
import { retainedAfterClose } from './retained-after-close.ts';
import { slowConsumer } from './slow-consumer.ts';
import { unclosedGrowth } from './unclosed-growth.ts';
import { zombieConnections } from './zombie-connections.ts';

/** In the order of `agent.status()`. They compare counts or memory with the connections. */
const LEAK_DETECTORS: readonly Detector[] = [
  zombieConnections,
  listenerAccumulation,
  registryGrowth,
  roomGrowth,
  queueGrowth,
  slowConsumer,
  resourceGrowth,
  retainedAfterClose,
  unclosedGrowth,
  externalBuffers,
  nativeMemory,
  heapGrowth,
  divergence,
];

const CONDITION_DETECTORS: readonly Detector[] = [
  memoryThreshold,
  exhaustion,
  connectionLimit,
  descriptorLimit,
  gcPressure,
  loopLag,
];

/** Detectors that need no connections: those of `MemoryMonitor`. */
export const MEMORY_DETECTORS: readonly Detector[] = [
  registryGrowth,
  externalBuffers,
  nativeMemory,
  heapGrowth,
];

/** Verdicts of all detectors. Samples without connections can show a condition and no leak. */
export function evaluate(view: View): Verdict[] {
  const connections = view.history.window.column('connections');
  const hasConnections = connections.some((count) => !Number.isNaN(count));
  const leaks = hasConnections
    ? runDetectors(LEAK_DETECTORS, view)
    : LEAK_DETECTORS.map(({ name }) =>
        noFinding(name, 'inconclusive', 'The samples have no connections', { missing: 'connections' }),
      );
  return [...leaks, ...runDetectors(CONDITION_DETECTORS, view)];
}

export const runDetectors = (detectors: readonly Detector[], view: View): Verdict[] =>
  confirm(detectors.flatMap((detector) => detector.evaluate(view)));

const MEMORY_DETECTOR_NAMES: ReadonlySet<string> = new Set([heapGrowth.name, divergence.name]);

/** The second pass: a provisional finding stands when another detector found that memory grows too. */
export function confirm(verdicts: readonly DetectorVerdict[]): Verdict[] {
  const memoryGrows = verdicts.some(
    (verdict) => verdict.answer === 'found' && MEMORY_KINDS.has(verdict.finding.kind),
  );
  return verdicts.map((verdict): Verdict => {
    if (verdict.answer !== 'provisional') return verdict;
    const { detector, finding, evidence, doubt } = verdict;
    return memoryGrows
      ? { detector, answer: 'found', finding, evidence }
      : noFinding(detector, 'inconclusive', `${finding.title}; ${doubt}`, {
          evidence,
          missing: 'memory that grows too',
        });
  });
}

/** Detectors whose negative answer rules a kind out. */
const RULED_OUT_BY: ReadonlyMap<string, Kind> = new Map(
  ALL_KINDS.flatMap((kind): [string, Kind][] => {
    const { detector, mayBeRuledOut } = KINDS[kind];
    return mayBeRuledOut && detector !== null ? [[detector, kind]] : [];
  }),
);

/** The kinds that a detector evaluated and did not find, each with its number. */
function ruledOut(verdicts: readonly Verdict[]): Because[] {
  return verdicts.flatMap((verdict) => {
    const kind = RULED_OUT_BY.get(verdict.detector);
    if (kind === undefined || verdict.answer === 'found' || verdict.answer === 'warming-up') return [];
    // Insufficient data rules nothing out.
    if (verdict.answer === 'inconclusive' && verdict.missing !== undefined) return [];
    return [{ kind, because: verdict.because }];
  });
}

/** The findings of the verdicts, the most specific kind first. A leak lists the kinds that were ruled out in `against`. */
export function findingsOf(verdicts: readonly Verdict[]): Finding[] {
  const against = ruledOut(verdicts);
  const againstKind = new Map<Kind, Because[]>();
  const againstOthers = (kind: Kind): Because[] => {
    const others = againstKind.get(kind) ?? against.filter((other) => other.kind !== kind);
    againstKind.set(kind, others);
    return others;
  };
  return verdicts
    .flatMap((verdict) => (verdict.answer === 'found' ? [verdict.finding] : []))
    .toSorted((a, b) => rankOf(a.kind) - rankOf(b.kind))
    .map((finding) => ({
      ...finding,
      against: finding.family === 'leak' ? againstOthers(finding.kind) : [],
    }));
}

/**
 * Detectors that end no alert: they have too little data, or memory certainly rises although they no longer find a leak. A
 * linear leak of hours becomes small beside the heap that it has filled.
 */
export function undecidedDetectors(verdicts: readonly Verdict[], { trend }: View): ReadonlySet<string> {
  const rises = trend !== null && trend.t > LEAKS['heap-growth'].thresholds.slowTrend.value;
  return new Set(
    verdicts
      .filter(
        ({ detector, answer }) =>
          answer === 'warming-up' ||
          (rises && MEMORY_DETECTOR_NAMES.has(detector) && (answer === 'inconclusive' || answer === 'found')),
      )
      .map(({ detector }) => detector),
  );
}

/** Whether something may leak, so that the agent should probe more connections. */
export const isSuspicious = (verdicts: readonly Verdict[], { counts }: View): boolean =>
  verdicts.some(
    (verdict) =>
      (verdict.answer === 'found' && verdict.finding.family === 'leak') ||
      (verdict.answer === 'inconclusive' &&
        (verdict.detector === heapGrowth.name ||
          // Without evidence it is inconclusive because nothing was pinged, which is no suspicion.
          (verdict.detector === zombieConnections.name && verdict.evidence.length > 0))),
  ) || connectionsGrow(counts);

/** A rise of fewer connections is noise. */
const MIN_CONNECTION_RISE = 10;

const connectionsGrow = (counts: View['counts']): boolean =>
  counts.missing === null &&
  counts.growthOf('connections', { minRise: MIN_CONNECTION_RISE, perConnection: false })?.answer === 'found';
