/** `doubtOnCollection`: the healthy collection that a growing one may be. */

import { COUNTS_WARM_UP_MS } from '../kinds/index.ts';
import { isCausedByClosing, type ChangesOfCount } from './connection-changes.ts';
import type { Growth } from './count-growth.ts';
import { MAX_RATES_ERROR } from './count-text.ts';
import type { View } from './detector.ts';
import { MINUTE_MS } from './history.ts';
import { listOfKept, mayReachLimit } from './kept-connections.ts';
import { isWorkedOff } from './pending-work.ts';
import type { Column, Series, SeriesType } from './sample-row.ts';
import { withoutMissing } from './statistics.ts';

/** The longest usual time to live of a session, and the period of a sweep that removes what has expired. */
export const SESSION_DELAY_MS = 65 * MINUTE_MS;

export interface CollectionDoubt {
  readonly because: string;
  /** Whether a whole number of entries that each closed connection leaves removes the doubt. Else memory must grow too. */
  readonly isRemovedByRate: boolean;
}

/** The healthy reason for a growth; null for a leak. */
export function doubtOnCollection(
  series: Series,
  growth: Growth,
  { doubt, view }: { readonly doubt: CollectionDoubt | undefined; readonly view: View },
): string | null {
  if (isWorkedOff(series, view)) return DOUBT_BY_WORK;
  if (doubt !== undefined && !isProven(growth, doubt, view)) return doubt.because;
  if (doubt !== undefined && wasEmptied(series, growth, view)) return DOUBT_BY_PERIOD;
  if (series.type === 'rooms' && isByTopic(growth)) return DOUBT_BY_TOPIC;
  const byMessages = OF_CONNECTIONS.has(series.type) ? doubtByMessages(series, growth, view) : null;
  if (byMessages !== null) return byMessages;
  if (MAY_FILL_UP.has(series.type) && fillsUp(series, growth, view)) return DOUBT_FILLS_UP;
  return doubtByList(series, view);
}

const DOUBT_BY_WORK = 'its oldest entries are removed, so it may be work that waits';

const DOUBT_BY_MESSAGES =
  'connections that close do not cause the growth, so it may be work that waits: a day brings more than is done';
const DOUBT_BY_TIME =
  'closed connections and time cannot be told apart as its cause, so it may be work that waits: a day brings more than is done';
const OF_CONNECTIONS: ReadonlySet<SeriesType> = new Set(['registry', 'sessions']);
/** A connection has one entry in a registry of connections, to the nearest whole number. */
const MAX_PER_CLOSED = 2;
/** Standard errors of its rate, for all closed connections, as a share of the leak. Above it, time may be what adds the entries. */
const MAX_UNCERTAIN_SHARE = 0.25;
/** Share of the rows at which each closed connection has left the same whole number. Others read an open or a close halfway. */
const MIN_EXACT_ROWS = 0.6;

/** For a registry in which each connection has many entries, as jobs or messages, where the growth may come with time. */
function doubtByMessages(series: Series, { changes, perClosed }: Growth, view: View): string | null {
  const entries = Math.round(perClosed ?? 0);
  if (entries <= MAX_PER_CLOSED) return null;
  const isCertain =
    changes !== null && changes.ratesError * changes.closed <= MAX_UNCERTAIN_SHARE * changes.leaked;
  // The regression takes time for connections where each closed one is replaced at once, at an even pace.
  if (isCertain) return isCausedByClosing(changes) ? null : DOUBT_BY_MESSAGES;
  const isWithConnections =
    isInStep(series, entries, view, 'closedTotal') || isInStep(series, entries, view, 'openedTotal');
  return isWithConnections ? null : DOUBT_BY_TIME;
}

/** Whether the count rises by this number exactly when a connection opens or closes, and not between. */
function isInStep(
  { column }: Series,
  entries: number,
  { history, counts }: View,
  progress: 'openedTotal' | 'closedTotal',
): boolean {
  const connections = history.window.column(progress, counts.fromRow);
  const others = withoutMissing(
    history.window
      .column(column, counts.fromRow)
      .map((count, row) => count - entries * (connections[row] ?? 0)),
  ).toSorted();
  const middle = others[Math.floor(others.length / 2)] ?? Number.NaN;
  const exact = others.filter((count) => Math.abs(count - middle) < 0.5).length;
  return exact >= MIN_EXACT_ROWS * others.length;
}

const DOUBT_BY_PERIOD = 'it was emptied before, as the counts of a rate limit are at the end of each period';

/** Share of the growth by which the collection has fallen at once before. */
const MIN_EMPTIED = 0.5;

/** Whether the collection lost many entries in the last hours, from one row of 3 min to the next but one. */
function wasEmptied({ column }: Series, { rise }: Growth, { longTermCounts, history }: View): boolean {
  const values = (longTermCounts?.history ?? history.longTerm)?.window.column(column) ?? [];
  return values.some((value, row) => (values[row - 2] ?? Number.NaN) - value >= MIN_EMPTIED * rise);
}

const DOUBT_BY_TOPIC =
  'only some connections add a room and none removes one, so it may be a room for each topic, of which there is a limited number';

/** Rooms that fill up under bursts seem to lose this share of what opened connections add (simulated: up to a quarter). */
const MAX_SEEMING_REMOVAL = 1 / 3;

/**
 * Whether a part of the connections may add a room, and none remove one. With a leak, each connection adds a room or
 * connections that close certainly change their number. Where both rates are uncertain, the leaked share decides.
 */
function isByTopic({ changes, perClosed }: Growth): boolean {
  if (changes === null) return false;
  const { addedPerOpened, removedPerClosed, ratesError } = changes;
  const perOpened = ratesError <= MAX_RATES_ERROR ? addedPerOpened : (perClosed ?? 0);
  const maxRemoved = Math.max(
    MAX_RATES_ERROR,
    MIN_REMOVED_T * ratesError,
    MAX_SEEMING_REMOVAL * addedPerOpened,
  );
  return (
    removedPerClosed <= maxRemoved &&
    removedPerClosed >= -Math.max(MAX_RATES_ERROR, MIN_REMOVED_T * ratesError) &&
    Math.abs(perOpened - Math.max(1, Math.round(perOpened))) > MAX_RATES_ERROR
  );
}

const DOUBT_FILLS_UP = 'connections add fewer and fewer entries, as to a collection that fills up';
/** Their entries may stand for topics, users or documents, of which there is a limited number. */
const MAY_FILL_UP: ReadonlySet<SeriesType> = new Set(['rooms', 'objects', 'entries']);
/** A collection that fills up slows down: 1 - exp(-t) has two thirds of its first pace after 0.4 of its time constant. */
const MIN_PACE = 0.67;
/** Standard errors (of a Poisson distribution) between the two halves. */
const MIN_SLOWER_T = 2;

/** Whether opened and closed connections alike leave fewer entries in the second half of the window than in the first. */
function fillsUp({ column }: Series, { changes }: Growth, { history, counts }: View): boolean {
  const valuesOf = (of: Column): readonly [number, number, number] => {
    const values = history.window.column(of, counts.fromRow);
    const at = (row: number): number => values.at(row) ?? Number.NaN;
    return [at(0), at(Math.floor(values.length / 2)), at(-1)];
  };
  const perConnection = Math.max(0, changes?.addedPerOpened ?? 0);
  const connections = valuesOf('connections');
  const [start = 0, middle = 0, end = 0] = valuesOf(column).map(
    (count, i) => count - perConnection * (connections[i] ?? 0),
  );
  return (['openedTotal', 'closedTotal'] as const).every((progress) => {
    const [from, half, to] = valuesOf(progress);
    const [early, late] = [middle - start, end - middle];
    const expected = ((early + late) * (to - half)) / (to - from);
    const error = Math.sqrt((expected * (half - from)) / (to - from));
    return late / (to - half) < (MIN_PACE * early) / (half - from) && expected - late > MIN_SLOWER_T * error;
  });
}

function doubtByList(series: Series, view: View): string | null {
  const list = listOfKept(series, view);
  return list === null ? null : mayReachLimit(list);
}

/** A cache that fills up misses the entries that it has already; a leak adds the same number with every connection. */
const MAX_FRACTION = 0.03;
/** Connections that a sample counts a moment before their entries, at each end of the window. */
const MAX_MISSED_ENTRIES = 2;

/**
 * Whether every closed connection leaves the same whole number of entries, or a part of them leaves one while the others
 * remove theirs, and no session can last so long. A cache by user removes none.
 */
function isProven(
  { changes, perClosed, windowMs }: Growth,
  { isRemovedByRate }: CollectionDoubt,
  { counts, history }: View,
): boolean {
  if (!isRemovedByRate || changes === null || perClosed === null) return false;
  const isSettled = history.nowMs - history.startedMs >= COUNTS_WARM_UP_MS + SESSION_DELAY_MS + windowMs;
  const isBySessions = counts.mayComeFromLateCleanup(changes.leaked, {
    windowMs,
    maxDelayMs: SESSION_DELAY_MS,
  });
  if (isSettled && !isBySessions && removesMost(changes)) return true;
  const entries = Math.round(perClosed);
  const missed = Math.abs(perClosed - entries) * changes.closed;
  return (
    entries >= 1 &&
    Math.abs(perClosed - entries) <= MAX_FRACTION &&
    missed <= Math.max(MAX_MISSED_ENTRIES, 2 * changes.leakedError) &&
    isCausedByClosing(changes)
  );
}

/** Standard errors by which closed connections remove entries. */
const MIN_REMOVED_T = 3;

export const removesMost = ({ addedPerOpened, removedPerClosed, ratesError }: ChangesOfCount): boolean =>
  removedPerClosed > MIN_REMOVED_T * ratesError && removedPerClosed > addedPerOpened / 2;
