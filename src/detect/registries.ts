/** Registries, rooms and queues: entries left behind per closed connection or per message. */

import type { Evidence, LeakKind, Verdict } from '../types/index.ts';
import { found, quiet, type Detector, type View } from './detector.ts';
import { divergence } from './divergence.ts';
import { floor } from './heap-growth.ts';
import type { Counts, Growth } from './growth.ts';
import type { CountedSeries } from './history.ts';
import { formatCount } from '../core/format.ts';

const MIN_ENTRIES = 10;
const MIN_SHARE_OF_CONNECTIONS = 0.08;
/** A queue breathes with the traffic; what is stuck in one comes in hundreds. */
const MIN_QUEUE_ITEMS = 500;

/** The least rise that is worth a word: ten, and more on a server with many connections. */
export const minRise = (counts: Counts): number =>
  Math.max(MIN_ENTRIES, MIN_SHARE_OF_CONNECTIONS * counts.meanConnections);

export const stillWarming = (detector: string, counts: Counts): Verdict =>
  quiet(detector, 'warming-up', 'the window is not full yet', { missing: counts.missing ?? '' });

export function growthEvidence(name: string, growth: Growth, threshold: number): Evidence[] {
  const evidence: Evidence[] = [
    { name, value: growth.now, unit: 'entries' },
    { name: 'risen_in_window', value: growth.rise, unit: 'entries', threshold, windowMs: growth.windowMs },
    { name: 'rise_per_hour', value: growth.perHour, unit: 'entries/h' },
  ];
  if (growth.perClosed !== null)
    evidence.push({ name: 'left_per_closed_connection', value: growth.perClosed, unit: 'entries' });
  return evidence;
}

export const sayPerClosed = ({ perClosed, perHour }: Growth): string =>
  perClosed !== null && perClosed >= 0.05 && perClosed <= 20
    ? `${perClosed.toFixed(2)} left behind per closed connection`
    : `${formatCount(perHour)} more an hour`;

interface Rule {
  readonly kind: LeakKind;
  readonly noun: string;
  readonly minRise: (counts: Counts) => number;
  readonly perConnection: boolean;
  /** What healthy looks the same, until memory tells. */
  readonly doubt?: string;
}

const RULES: Readonly<Partial<Record<CountedSeries['what'], Rule>>> = {
  registry: { kind: 'registry-growth', noun: 'entries', minRise, perConnection: true },
  rooms: { kind: 'room-growth', noun: 'rooms', minRise, perConnection: true },
  members: { kind: 'room-growth', noun: 'members of rooms', minRise, perConnection: true },
  queue: { kind: 'queue-growth', noun: 'items', minRise: () => MIN_QUEUE_ITEMS, perConnection: false },
  list: {
    kind: 'queue-growth',
    noun: 'items',
    minRise: () => MIN_QUEUE_ITEMS,
    perConnection: false,
    doubt: 'nobody takes from it, as from a history on its way to its bound',
  },
  objects: {
    kind: 'room-growth',
    noun: 'rooms',
    minRise,
    perConnection: true,
    doubt: 'they are objects, which may be kept for more than their members',
  },
};

/** The metric whose number it is; the subject is the alert's. */
const METRICS: Partial<Record<CountedSeries['what'], string>> = {
  registry: 'wsguard_registry_entries',
  rooms: 'rooms',
  members: 'wsguard_room_members',
  queue: 'wsguard_queue_items',
  list: 'wsguard_queue_items',
  objects: 'rooms',
};

/**
 * A list that nobody takes from is a queue whose consumer never came, or a history on its way to its bound; sessions
 * with their sockets are rooms that nobody removes, or have a time to live. Memory tells, and then these give the name.
 */
const memoryTells = (view: View): boolean =>
  [...floor.look(view), ...divergence.look(view)].some(({ answer }) => answer === 'found');

function look(name: string, whats: readonly CountedSeries['what'][], view: View): Verdict[] {
  const { history, counts } = view;
  if (counts.missing !== null) return [stillWarming(name, counts)];
  const verdicts: Verdict[] = [];
  let calm = 0;
  for (const { key, what, name: subject } of history.counted.values()) {
    const rule = whats.includes(what) ? RULES[what] : undefined;
    if (rule === undefined) continue;
    const least = rule.minRise(counts);
    const growth = counts.test(key, { minRise: least, perConnection: rule.perConnection });
    if (growth === null || growth.answer === 'ok') {
      calm += 1;
      continue;
    }
    const evidence = growthEvidence(METRICS[what] ?? what, growth, least);
    const title = `${subject} holds ${formatCount(growth.now)} ${rule.noun}, ${sayPerClosed(growth)}`;
    if (growth.answer === 'found' && rule.doubt !== undefined && !memoryTells(view)) {
      const said = `${title}; ${rule.doubt}`;
      verdicts.push(quiet(name, 'inconclusive', said, { evidence, missing: 'memory that grows with it' }));
      continue;
    }
    verdicts.push(
      growth.answer === 'found'
        ? found(name, { kind: rule.kind, subject, title, evidence })
        : quiet(name, growth.answer, title, { evidence }),
    );
  }
  if (verdicts.length === 0 && calm === 0)
    verdicts.push(quiet(name, 'inconclusive', `no ${name} are known`, { missing: name }));
  else if (verdicts.length === 0) verdicts.push(quiet(name, 'ok', sayCalm(name, calm)));
  return verdicts;
}

const sayCalm = (name: string, calm: number): string =>
  `none of the ${formatCount(calm)} ${name} watched grows on its own`;

const detectorOf = (name: string, ...whats: CountedSeries['what'][]): Detector => ({
  name,
  look: (view) => look(name, whats, view),
});

export const registries = detectorOf('registries', 'registry');
export const rooms = detectorOf('rooms', 'rooms', 'objects', 'members');
export const queues = detectorOf('queues', 'queue', 'list');
