/** `registryGrowth`, `roomGrowth`, `queueGrowth`: entries that stay after their connection closed or their message arrived. */

import { formatCount } from '../core/format.ts';
import { LEAKS, type LeakKind, type Threshold } from '../kinds/index.ts';
import type { Verdict } from '../types/index.ts';
import {
  doubtOnCollection,
  removesMost,
  SESSION_DELAY_MS,
  type CollectionDoubt,
} from './collection-doubt.ts';
import { CONNECTION_DELAY_MS, isCausedByClosing, type ChangesOfCount } from './connection-changes.ts';
import type { CountWindow, Growth, GrowthRule } from './count-growth.ts';
import { growthEvidence, noGrowth, withLeakRate } from './count-text.ts';
import { SWEEP_DELAY_MS } from './pending-sweeps.ts';
import { MIN_TIMEOUT_SHARE, timeoutsRise } from './pending-timeouts.ts';
import {
  findingOf,
  found,
  insufficientData,
  noFinding,
  type Detector,
  type DetectorVerdict,
  type View,
} from './detector.ts';
import { MINUTE_MS } from './history.ts';
import type { ChangeType, Series, SeriesType } from './sample-row.ts';

type CollectionType = Exclude<SeriesType, 'listeners' | ChangeType | 'event names' | 'resource'>;

interface Collection {
  readonly kind: LeakKind;
  /** The start of the title, up to the number. */
  readonly subjectText: (name: string) => string;
  /** The noun of the number. */
  readonly entries: string;
  /** The metric that has this number, or a name for it. */
  readonly metric: string;
  readonly rise: Threshold;
  /** Null for a queue: the connections do not explain its items. */
  readonly riseShare: Threshold | null;
  /** A healthy collection that looks the same. */
  readonly doubt?: CollectionDoubt;
}

const registry = LEAKS['registry-growth'].thresholds;
const room = LEAKS['room-growth'].thresholds;
const queue = LEAKS['queue-growth'].thresholds;

const QUEUE = {
  kind: 'queue-growth',
  subjectText: (name: string) => `Queue '${name}' has`,
  entries: 'items',
  metric: 'wsguard_queue_items',
  rise: queue.rise,
  riseShare: null,
} as const;
const ROOMS = {
  kind: 'room-growth',
  subjectText: (name: string) => `Rooms '${name}' have`,
  rise: room.rise,
  riseShare: room.riseShare,
} as const;

const REGISTRY = {
  kind: 'registry-growth',
  subjectText: (name: string) => `Registry '${name}' has`,
  entries: 'entries',
  metric: 'wsguard_registry_entries',
  rise: registry.rise,
  riseShare: registry.riseShare,
} as const;

const COLLECTIONS: Readonly<Record<CollectionType, Collection>> = {
  registry: REGISTRY,
  sessions: REGISTRY,
  entries: {
    ...REGISTRY,
    doubt: {
      because: 'no connection was seen in its entries, so it may be a cache that is not full yet',
      isRemovedByRate: true,
    },
  },
  bounded: {
    ...REGISTRY,
    doubt: {
      because: 'its code has a limit that may not be reached, or its oldest entry has yet to expire',
      isRemovedByRate: false,
    },
  },
  rooms: { ...ROOMS, entries: 'rooms', metric: 'rooms' },
  members: { ...ROOMS, entries: 'members', metric: 'wsguard_room_members' },
  queue: QUEUE,
  list: {
    ...QUEUE,
    doubt: {
      because: 'nothing is taken from it, so it may be a history that is not full yet',
      isRemovedByRate: false,
    },
  },
  objects: {
    ...ROOMS,
    entries: 'rooms',
    metric: 'rooms',
    doubt: {
      because: 'they may be kept for more than their members',
      isRemovedByRate: false,
    },
  },
};

const detectorOf = (name: string, ...types: CollectionType[]): Detector => ({
  name,
  evaluate: (view) => evaluate(name, types, view),
});

export const registryGrowth = detectorOf('registries', 'registry', 'sessions', 'entries', 'bounded');
export const roomGrowth = detectorOf('rooms', 'rooms', 'objects', 'members');
export const queueGrowth = detectorOf('queues', 'queue', 'list');

function evaluate(name: string, types: readonly CollectionType[], view: View): readonly DetectorVerdict[] {
  const { history, counts } = view;
  if (counts.missing !== null) return [insufficientData(name, counts.missing)];
  let rise: number | null = null;
  const evaluation: Evaluation = {
    view,
    timeouts: () => (rise ??= timeoutsRise(view)),
    isStripped: history.last?.registries.some(({ strippedEntries = 0 }) => strippedEntries !== 0) === true,
  };
  const tests = new Map(types.map((type) => [type as SeriesType, testOf(name, type, evaluation)]));
  const verdicts: DetectorVerdict[] = [];
  let unsuspicious = 0;
  for (const series of history.series) {
    const test = tests.get(series.type);
    if (test === undefined) continue;
    const verdict = evaluateSeries(series, test, evaluation);
    if (verdict === null) unsuspicious += 1;
    else verdicts.push(verdict);
  }
  return verdicts.length === 0 ? [summaryOf(name, unsuspicious)] : verdicts;
}

interface Evaluation {
  readonly view: View;
  /** The rise of pending timers, computed once for all series that grow. */
  readonly timeouts: () => number;
  /** Whether the listeners that empty a library's list were removed, for any of the lists. */
  readonly isStripped: boolean;
}

interface CollectionTest {
  readonly detector: string;
  readonly collection: Collection;
  readonly rule: GrowthRule;
  /** The rule where the agent discovered the collection. */
  readonly discoveredRule: GrowthRule;
}

/** A batch that is written once in a quarter of an hour grows steadily until then. */
const MIN_QUEUE_SPAN_MS = 15 * MINUTE_MS;

/** One rule serves all series of a type: a rule for each of 200 series was a tenth of the time of their evaluation. */
function testOf(detector: string, type: CollectionType, evaluation: Evaluation): CollectionTest {
  const collection = COLLECTIONS[type];
  const { rise, riseShare } = collection;
  const ruleOf = (isDiscovered: boolean): GrowthRule =>
    riseShare === null
      ? { minRise: rise.value, perConnection: false, minSpanMs: MIN_QUEUE_SPAN_MS }
      : {
          minRise: evaluation.view.counts.minRise({ rise, riseShare }),
          perConnection: true,
          maxDelayMs: delayOf(type, isDiscovered, evaluation),
        };
  return { detector, collection, rule: ruleOf(false), discoveredRule: ruleOf(true) };
}

/** Rooms and documents are often kept for a while, so that a client can come back. */
const ROOM_DELAY_MS = 30 * MINUTE_MS;

/** With at least this share of the leaked entries, closed connections in memory are what the entries retain. */
const MIN_RETAINED_SHARE = 0.5;

/**
 * The entries may be sessions, so a closed connection has an hour, and half an hour in rooms. They are no sessions, and a
 * minute is enough, when the agent discovered connections in them without the time of a last event, or when as many
 * closed connections stay in memory; but not while timers that fire once pile up in step.
 */
const delayOf =
  (type: CollectionType, isDiscovered: boolean, { view, timeouts }: Evaluation) =>
  (rise: number): number => {
    // The end of a session is often a timer of its own, also where the session keeps its closed connection.
    if (timeouts() >= MIN_TIMEOUT_SHARE * rise) return SESSION_DELAY_MS;
    if (type === 'registry' && isDiscovered) return CONNECTION_DELAY_MS;
    if (type === 'sessions') return SWEEP_DELAY_MS;
    if (type === 'entries' || type === 'bounded') return SESSION_DELAY_MS;
    const retained = view.history.postGcHeaps.at(-1)?.survivors ?? 0;
    return retained >= MIN_RETAINED_SHARE * rise
      ? CONNECTION_DELAY_MS
      : type === 'registry'
        ? SESSION_DELAY_MS
        : ROOM_DELAY_MS;
  };

/** Null for a collection that does not grow. */
function evaluateSeries(
  series: Series,
  { detector, collection, rule: ruleOfOthers, discoveredRule }: CollectionTest,
  evaluation: Evaluation,
): DetectorVerdict | null {
  const { view } = evaluation;
  const rule = series.source === 'found' ? discoveredRule : ruleOfOthers;
  const growth = growthOfSeries(series, rule, view.counts);
  if (growth === null || growth.answer === 'ok') return null;
  const { kind, subjectText, entries, metric, doubt } = collection;
  const { name } = series;
  const evidence = growthEvidence(metric, growth, { minRise: rule.minRise, unit: entries });
  const text = `${subjectText(name)} ${formatCount(growth.now)} ${entries}`;
  const title = withLeakRate(text, growth, view.counts) + strippedText(series, evaluation);
  if (growth.answer !== 'found') {
    const minText = `${formatCount(rule.minRise)} ${entries}`;
    return noGrowth(detector, growth, title, { evidence, minText });
  }
  const details = { kind, subject: name, title, evidence };
  const because = doubtOnCollection(series, growth, { doubt, view });
  return because === null
    ? found(detector, details)
    : { detector, answer: 'provisional', finding: findingOf(details), evidence, doubt: because };
}

/**
 * An hour shows with certainty that a part of the connections leaves entries, by chance, or that each leaves another number of
 * them. Where no connection was seen in the entries, most of the connections must remove theirs.
 */
function growthOfSeries({ type, column }: Series, rule: GrowthRule, counts: CountWindow): Growth | null {
  const growth = counts.growthOf(column, rule);
  const isProven = isCertainInAnHour[type];
  if (isProven === undefined || growth === null || growth.answer === 'ok' || growth.answer === 'found')
    return growth;
  const slow = counts.growthOf(column, { ...rule, hasSlowWindow: true });
  return slow?.answer === 'found' && slow.changes !== null && isProven(slow.changes) ? slow : growth;
}

const isCertainInAnHour: Partial<Record<SeriesType, (changes: ChangesOfCount) => boolean>> = {
  entries: removesMost,
  registry: isCausedByClosing,
  sessions: isCausedByClosing,
};

/** The list of a library grows because the application has removed the listeners that empty it: this names the cause. */
function strippedText({ type, name }: Series, { isStripped, view }: Evaluation): string {
  if (type !== 'registry' || !isStripped) return '';
  const stripped =
    view.history.last?.registries.find((registry) => registry.name === name)?.strippedEntries ?? 0;
  return stripped === 0
    ? ''
    : ". removeAllListeners() on closed connections took the library's own close listener, so the library keeps them";
}

const summaryOf = (name: string, unsuspicious: number): Verdict =>
  unsuspicious === 0
    ? noFinding(name, 'inconclusive', `The agent does not know any ${name}`, { missing: name })
    : noFinding(
        name,
        'ok',
        `No growth of ${name} beyond what the connections explain (${formatCount(unsuspicious)} observed)`,
      );
