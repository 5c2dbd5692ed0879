/** `resourceGrowth`: timers, child processes, sockets and other resources that stay open after their connection closed. */

import { formatCount } from '../core/format.ts';
import { LEAKED_PER_CLOSED, LEAKS } from '../kinds/index.ts';
import type { Evidence, ResourceType } from '../types/index.ts';
import { SESSION_DELAY_MS as COLLECTION_DELAY_MS } from './collection-doubt.ts';
import { CONNECTION_DELAY_MS, isCausedByClosing } from './connection-changes.ts';
import type { Growth } from './count-growth.ts';
import { growthEvidence, noGrowth, withLeakRate } from './count-text.ts';
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
import { MIN_TIMEOUT_SHARE, timeoutsRise } from './pending-timeouts.ts';
import { seriesColumn } from './sample-row.ts';

const NAME = 'resources';
const METRIC = 'wsguard_active_resources';
const { thresholds } = LEAKS['resource-growth'];
/** The end of a session: what it started may live for as long as a client can come back. */
const SESSION_DELAY_MS = 30 * MINUTE_MS;
/** With this many closed connections in memory for each leaked resource, the resources belong to closed connections. */
const MIN_RETAINED_SHARE = 0.5;
const DOUBT = 'a pool grows with the load and stays, and connections that close do not cause the growth';
const SESSION_DOUBT =
  'most of them fire once, and connections that close do not cause the growth: they may end sessions of requests';
const IDLE_DOUBT = 'most of them are idle sockets, which a pool keeps for its next requests';

type CountedType = Exclude<ResourceType, 'timeout' | `descriptor_${string}`>;

/**
 * The tested types and their nouns. What names the cause comes first: a child process has pipes, and a pipe has a
 * descriptor.
 */
const NOUNS: Readonly<Record<CountedType, string>> = {
  child_process: 'child processes',
  thread: 'threads',
  file_watcher: 'file watchers',
  outgoing_socket: 'outgoing sockets',
  udp_socket: 'UDP sockets',
  timer: 'timers',
  pipe: 'pipes',
  message_port: 'message ports',
  descriptor: 'descriptors',
};
const TYPES = Object.keys(NOUNS) as readonly CountedType[];

/** The classes of files that descriptors refer to. */
const DESCRIPTOR_NOUNS = {
  descriptor_socket: 'sockets',
  descriptor_pipe: 'pipes',
  descriptor_file: 'files',
  descriptor_other: 'others',
} as const satisfies Partial<Record<ResourceType, string>>;
const DESCRIPTOR_TYPES = Object.keys(DESCRIPTOR_NOUNS) as readonly (keyof typeof DESCRIPTOR_NOUNS)[];

interface GrowingType {
  readonly type: CountedType;
  readonly growth: Growth;
}

export const resourceGrowth: Detector = { name: NAME, evaluate };

/** One verdict, because several types grow when one resource leaks. */
function evaluate(view: View): readonly DetectorVerdict[] {
  const { history, counts } = view;
  if (counts.missing !== null) return [insufficientData(NAME, counts.missing)];
  const isCounted = history.series.some(({ type }) => type === 'resource');
  if (!isCounted)
    return [noFinding(NAME, 'inconclusive', 'The samples have no resources', { missing: NAME })];
  const growths = growthsOf(view);
  // Counts that take long are rare, and after a gap there are none: that is no sign that the growth has ended.
  if (growths.every((growth) => growth === null)) return [insufficientData(NAME, 'more counts of resources')];
  const growing = TYPES.flatMap((type, index): GrowingType[] => {
    const growth = growths[index] ?? null;
    return growth === null || growth.answer === 'ok' ? [] : [{ type, growth }];
  });
  const [first] = growing.filter(({ growth }) => growth.answer === 'found');
  const shown = first ?? growing[0];
  if (shown === undefined)
    return [noFinding(NAME, 'ok', 'No growth of resources beyond what the connections explain')];
  return [verdictOn(shown, growing, view)];
}

const growthsOf = (view: View): readonly (Growth | null)[] =>
  TYPES.map((type) =>
    view.counts.growthOf(seriesColumn('resource', type, null), {
      minRise: view.counts.minRise(thresholds),
      perConnection: true,
      maxDelayMs: delayOf(type, view),
      hasLongWindow: true,
    }),
  );

/**
 * A minute where as many closed connections stay in memory; otherwise the resources may belong to sessions. Each request
 * starts the timer of a session anew.
 */
const delayOf =
  (type: CountedType, view: View) =>
  (rise: number): number => {
    const retained = view.history.postGcHeaps.at(-1)?.survivors ?? 0;
    if (retained >= MIN_RETAINED_SHARE * rise) return CONNECTION_DELAY_MS;
    return fireOnce(type, rise, view) ? COLLECTION_DELAY_MS : SESSION_DELAY_MS;
  };

/** Whether most of the timers that were added fire once: each of them ends by itself. */
const fireOnce = (type: CountedType, rise: number, view: View): boolean =>
  type === 'timer' && timeoutsRise(view) >= MIN_TIMEOUT_SHARE * rise;

function verdictOn(shown: GrowingType, growing: readonly GrowingType[], view: View): DetectorVerdict {
  const { type, growth } = shown;
  const { counts } = view;
  const text = `${formatCount(growth.now)} ${NOUNS[type]}${detailOf(type, view)}`;
  const title = withLeakRate(text, growth, counts, NOUNS[type]);
  const evidence = [
    ...growthEvidence(METRIC, growth, { minRise: counts.minRise(thresholds), unit: NOUNS[type] }),
    ...otherEvidence(type, growing),
    ...(type === 'descriptor' ? descriptorEvidence(view) : []),
  ];
  if (growth.answer !== 'found') {
    const minText = `${formatCount(counts.minRise(thresholds))} ${NOUNS[type]}`;
    return noGrowth(NAME, growth, title, { evidence, minText });
  }
  const details = { kind: 'resource-growth', subject: type, title, evidence } as const;
  const doubt = doubtAbout(shown, view);
  return doubt === null
    ? found(NAME, details)
    : { detector: NAME, answer: 'provisional', finding: findingOf(details), evidence, doubt };
}

function doubtAbout({ type, growth }: GrowingType, view: View): string | null {
  if (type === 'descriptor' && riseOfIdleSockets(view, growth) >= growth.rise / 2) return IDLE_DOUBT;
  if (fireOnce(type, growth.rise, view) && (growth.changes === null || !isCausedByClosing(growth.changes)))
    return SESSION_DOUBT;
  const isLeak =
    isCausedByConnections(growth) ||
    growth.rise >= thresholds.withoutClosing.value ||
    eachConnectionAddsTheSame(type, view);
  return isLeak ? null : DOUBT;
}

/** Fewer opened connections do not show a whole number. */
const MIN_OPENED = 50;
/** Share of the added resources by which the count may leave the line: connections that are just opening, or are in flight. */
const MAX_SPREAD = 0.1;
/** Resources that end half an hour after their connection stop rising in this time. */
const FOLLOWED_MS = 1.5 * SESSION_DELAY_MS;
/** Rows of counts that take long are a minute apart. */
const MAX_ROW_MS = 2 * MINUTE_MS;

/**
 * Whether the count has followed the opened connections with the same whole number for each. Connections that open at an even
 * pace cannot be told from time by a regression, and a pool grows by other numbers.
 */
export function eachConnectionAddsTheSame(
  type: CountedType,
  { history: { window, nowMs } }: { readonly history: Pick<View['history'], 'window' | 'nowMs'> },
): boolean {
  const fromRow = window.rowAt(nowMs - FOLLOWED_MS);
  const [times, openedTotal] = [window.times(fromRow), window.column('openedTotal', fromRow)];
  const rows = [...window.column(seriesColumn('resource', type, null), fromRow)]
    .map((count, row) => ({ count, opened: openedTotal[row]!, atMs: times[row]! }))
    .filter(({ count, opened }) => !Number.isNaN(count + opened));
  const [first, last] = [rows[0], rows.at(-1)];
  if (first === undefined || last === undefined || last.opened - first.opened < MIN_OPENED) return false;
  if (first.atMs > nowMs - FOLLOWED_MS + MAX_ROW_MS) return false;
  const perOpened = Math.round((last.count - first.count) / (last.opened - first.opened));
  const others = rows.map(({ count, opened }) => count - perOpened * opened);
  const spread = Math.max(...others) - Math.min(...others);
  return perOpened >= 1 && spread <= MAX_SPREAD * perOpened * (last.opened - first.opened);
}

/** Node does not list the idle sockets of an http agent or of `fetch`, because they do not keep the process alive. */
function riseOfIdleSockets({ history: { window, nowMs } }: View, { windowMs }: Growth): number {
  const fromRow = window.rowAt(nowMs - windowMs);
  const listed = window.column(seriesColumn('resource', 'outgoing_socket', null), fromRow);
  const idle = window
    .column(seriesColumn('resource', 'descriptor_socket', null), fromRow)
    .map((sockets, row) => sockets - listed[row]!)
    .filter((count) => !Number.isNaN(count));
  return idle.length < 2 ? 0 : idle.at(-1)! - idle[0]!;
}

/** Without changes to compare, the level test decides: connections close, and the count rises beyond them. */
const isCausedByConnections = ({ changes, perClosed }: Growth): boolean =>
  changes === null ? (perClosed ?? 0) >= LEAKED_PER_CLOSED.value : isCausedByClosing(changes);

/** The types that grow together with the shown one. */
const otherEvidence = (shown: CountedType, growing: readonly GrowingType[]): Evidence[] =>
  growing
    .filter(({ type, growth }) => type !== shown && growth.answer === 'found')
    .map(({ type, growth }) => ({ name: `${METRIC}_${type}`, value: growth.now, unit: NOUNS[type] }));

const latest = ({ history }: View, type: ResourceType): number =>
  history.window.column(seriesColumn('resource', type, null)).findLast((count) => !Number.isNaN(count)) ??
  Number.NaN;

const descriptorEvidence = (view: View): Evidence[] =>
  DESCRIPTOR_TYPES.flatMap((type) => {
    const value = latest(view, type);
    return Number.isNaN(value) ? [] : [{ name: `${METRIC}_${type}`, value, unit: DESCRIPTOR_NOUNS[type] }];
  });

/** `, most of them sockets`, from the class of descriptors that has more than half. */
function detailOf(type: CountedType, view: View): string {
  if (type !== 'descriptor') return '';
  const total = latest(view, 'descriptor');
  const most = DESCRIPTOR_TYPES.find((each) => latest(view, each) > total / 2);
  return most === undefined ? '' : ` (most of them ${DESCRIPTOR_NOUNS[most]})`;
}
