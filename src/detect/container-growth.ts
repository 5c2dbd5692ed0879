/**
 * `evaluateContainers`: which containers leak, judged by the censuses of one process? A container that grew in every
 * interval between them is a suspect; `container-answer.ts` has the rules. Pure.
 */

import type { ContainerCensus, ContainerRow, RegistryReading } from '../types/index.ts';
import { explainsBuffers } from './buffer-growth.ts';
import {
  answerOf,
  MIN_CENSUSES,
  MIN_PACE,
  OUTGROWN_CENSUSES,
  type ContainerAnswer,
  type MeasuredGrowth,
} from './container-answer.ts';
import { HOUR_MS } from './history.ts';

/** A census and the state of the process when it was taken. */
export interface AuditedCensus {
  /** Scaled uptime. */
  readonly atMs: number;
  /** Since the start of the process. */
  readonly closedTotal: number;
  /** Open connections, with polling sessions, which have no socket between two requests. */
  readonly active: number;
  /** Collections whose oldest entries the application was removing then. */
  readonly workedOff: readonly Pick<RegistryReading, 'name' | 'entries'>[];
  readonly census: ContainerCensus;
}

export interface ContainerGrowth extends ContainerAnswer {
  readonly row: ContainerRow;
  readonly gained: number;
  readonly perClosed: number | null;
  readonly perHour: number;
  readonly bytesPerHour: number;
  /** Names of other places that grew in step with it: what the entries refer to, or what refers to them too. */
  readonly inStep: readonly string[];
}

/** Older censuses are not compared. */
export const MAX_CENSUSES = OUTGROWN_CENSUSES;
/** Fewer entries are noise of a count (docs/detection.md). */
const MIN_GAINED = 20;
/** Per interval, as a share of the whole growth: an interval in which a leak has its usual pace brings more. */
const MIN_INTERVAL_SHARE = 0.05;
/** Fewer closed connections do not tell a leak from late cleanup. */
const MIN_CLOSED = 20;
/** Entries that belong to no connection raise the number for each one by at most this. */
const MAX_PART_OF_ENTRY = 0.1;
/** Places whose growth differs by less than this share grow in step. */
const IN_STEP = 0.15;
/** Containers that other containers hold come and go with their entries: a queue of each user, members of each room. */
const MAX_MORE_CONTAINERS = 3;
/** Share of the growth that the new containers bring, at the earlier number of entries in each. */
const MIN_EXPLAINED = 0.5;

/** The samples show how memory grows. */
export interface MemoryGrowth {
  /** The post-GC heap grows. */
  readonly memoryGrows: boolean;
  /** Bytes per hour where the memory of Buffers grows; null where it does not. */
  readonly buffersPerHour: number | null;
}

/** Answers for all containers that grew, the most likely cause first. */
export function evaluateContainers(
  censuses: readonly AuditedCensus[],
  { memoryGrows, buffersPerHour }: MemoryGrowth,
): ContainerGrowth[] {
  const series = withMergedPlaces(censuses.slice(-MAX_CENSUSES));
  const last = series.at(-1);
  if (last === undefined || series.length < 2) return [];
  const indexes = series.map(({ census }) => new Map(census.rows.map((row) => [row.key, row])));
  const growths = last.census.rows.flatMap((row) => {
    const rows = indexes.map((index) => index.get(row.key) ?? null);
    const growth = measureGrowth(series, rows, row);
    return growth === null ? [] : [growth];
  });
  const closedInHeap = last.census.connections.closed;
  const answered = growths.map((growth): Answered => {
    const timerMs = pendingTimerMs(growth, growths);
    const { type } = growth.row;
    const limited =
      type === 'Connections' ? (limitedRetainer(growth, growths) ?? workThatRetains(growth, series)) : null;
    if (limited !== null) return { growth, answer: 'inconclusive', because: limited };
    const isWorkedOff = isBeingWorkedOff(growth.row, last);
    const context = {
      closedInHeap,
      timerMs,
      memoryGrows,
      explainsBuffers: explainsBuffers(growth.bytesPerHour, buffersPerHour),
      isWorkedOff,
    };
    return { growth, ...answerOf(growth, context) };
  });
  return rankCauses(answered);
}

/**
 * A room has another place while a connection that is in it has it in a variable. Fields of one name to which the same line of
 * the application adds are one container: otherwise its entries would seem to move from one place to the other.
 */
function withMergedPlaces(series: readonly AuditedCensus[]): readonly AuditedCensus[] {
  const firstKeys = new Map<string, string>();
  const keys = new Map<string, string>();
  for (const { key, type, name, location } of series.flatMap(({ census }) => census.rows)) {
    const field = fieldOf(name);
    if (field === undefined || location === null || (location.package ?? null) !== null) continue;
    if (!MERGED_TYPES.has(type)) continue;
    const place = `${type} ${field} ${location.file}:${location.line}`;
    const firstKey = firstKeys.get(place) ?? key;
    firstKeys.set(place, firstKey);
    if (key !== firstKey) keys.set(key, firstKey);
  }
  if (keys.size === 0) return series;
  return series.map((each) => ({
    ...each,
    census: { ...each.census, rows: mergeRows(each.census.rows, keys) },
  }));
}

const MERGED_TYPES: ReadonlySet<string> = new Set(['Map', 'Set', 'Array', 'Object']);

/** The row with the most entries describes the container. */
function mergeRows(rows: readonly ContainerRow[], keys: ReadonlyMap<string, string>): ContainerRow[] {
  const merged = new Map<string, ContainerRow>();
  for (const row of rows) {
    const key = keys.get(row.key) ?? row.key;
    const other = merged.get(key);
    if (other === undefined) {
      merged.set(key, { ...row, key });
      continue;
    }
    const described =
      other.location === null || (row.location !== null && row.entries > other.entries) ? row : other;
    merged.set(key, {
      ...described,
      key,
      containers: row.containers + other.containers,
      entries: row.entries + other.entries,
      largest: Math.max(row.largest, other.largest),
      bytes: row.bytes + other.bytes,
    });
  }
  return [...merged.values()];
}

function measureGrowth(
  series: readonly AuditedCensus[],
  rows: readonly (ContainerRow | null)[],
  row: ContainerRow,
): MeasuredGrowth | null {
  const unexplained = unexplainedGrowth(series, rows);
  const total = unexplained.reduce((sum, each) => sum + each, 0);
  if (total < MIN_GAINED || comesWithContainers(rows)) return null;
  const minimum = Math.max(2, total * MIN_INTERVAL_SHARE);
  const start = unexplained.findLastIndex((each) => each < minimum) + 1;
  const intervals = unexplained.slice(start);
  const gained = intervals.reduce((sum, each) => sum + each, 0);
  if (gained < MIN_GAINED) return null;
  const first = series[start]!;
  const last = series.at(-1)!;
  const closed = last.closedTotal - first.closedTotal;
  const perClosed = closed >= MIN_CLOSED ? gained / closed : null;
  const grownMs = Math.max(1, last.atMs - first.atMs);
  const paces = pacesOf(series.slice(start), intervals, perClosed !== null);
  const gainedBytes = row.bytes - (rows[start]?.bytes ?? 0);
  return {
    row,
    gained,
    perClosed,
    perOpened:
      (row.entries - (rows[start]?.entries ?? 0)) / Math.max(1, closed + openOf(last) - openOf(first)),
    perHour: (gained / grownMs) * HOUR_MS,
    bytesPerHour: (gainedBytes / grownMs) * HOUR_MS,
    bytesPerEntry: gainedBytes / gained,
    ...paces,
    exceedsBound: exceedsBound(
      rows.slice(start).map((each) => each?.entries ?? 0),
      intervals,
      paces.latePace,
    ),
    grownCensuses: intervals.length + 1,
    grownMs,
    grownSinceStartMs: start === 0 && growsSinceStart(series, rows, { gained, closed }) ? last.atMs : null,
  };
}

/**
 * Whether the entries of the first census came at the pace of the growth after it. Every container was empty when the
 * process started.
 */
function growsSinceStart(
  series: readonly AuditedCensus[],
  rows: readonly (ContainerRow | null)[],
  { gained, closed }: { readonly gained: number; readonly closed: number },
): boolean {
  const first = series[0]!;
  const entries = rows[0]?.entries ?? 0;
  const [unitsBefore, units] =
    closed >= MIN_CLOSED ? [first.closedTotal, closed] : [first.atMs, series.at(-1)!.atMs - first.atMs];
  const pace = (entries * units) / Math.max(1, gained * unitsBefore);
  return pace >= MIN_PACE && pace <= 1 / MIN_PACE;
}

/**
 * A connection has whole entries. A census reads fewer of them where connections are just opening, or where small containers
 * do not count yet: on a ramp of connections the difference would look like a leak.
 */
const wholeEntries = (perOpen: number): number => Math.max(perOpen, Math.ceil(perOpen - MAX_PART_OF_ENTRY));

/** Growth of each interval beyond what additional open connections need, from the lowest number per connection seen. */
function unexplainedGrowth(
  series: readonly AuditedCensus[],
  rows: readonly (ContainerRow | null)[],
): number[] {
  const perOpen = wholeEntries(
    Math.min(...series.map((each, index) => (rows[index]?.entries ?? 0) / Math.max(1, openOf(each)))),
  );
  return series.slice(1).map((each, index) => {
    const gained = (rows[index + 1]?.entries ?? 0) - (rows[index]?.entries ?? 0);
    const moreOpen = openOf(each) - openOf(series[index]!);
    return gained - perOpen * Math.max(0, moreOpen);
  });
}

const openOf = ({ active, census }: AuditedCensus): number => Math.max(active, census.connections.open);

/**
 * Each entry of another container brings such a container with it: that other container is the cause. A number of
 * containers that has become constant, as one for each user, explains nothing.
 */
function comesWithContainers(rows: readonly (ContainerRow | null)[]): boolean {
  const recent = rows.slice(-MIN_CENSUSES).filter((row) => row !== null);
  const [first, last] = [recent[0], recent.at(-1)];
  if (first === undefined || last === undefined) return false;
  const moreContainers = last.containers - first.containers;
  const explained = (moreContainers * first.entries) / first.containers;
  return moreContainers > MAX_MORE_CONTAINERS && explained >= (last.entries - first.entries) * MIN_EXPLAINED;
}

/** Paces by closed connections where enough of them closed, because traffic varies with the time of day, else by time. */
function pacesOf(
  series: readonly AuditedCensus[],
  intervals: readonly number[],
  byClosed: boolean,
): Pick<MeasuredGrowth, 'relativePace' | 'latePace'> {
  const pace = (from: number, to: number): number => {
    const gained = intervals.slice(from, to).reduce((sum, each) => sum + each, 0);
    const closed = series[to]!.closedTotal - series[from]!.closedTotal;
    const ms = series[to]!.atMs - series[from]!.atMs;
    return gained / Math.max(byClosed ? closed : ms, 1);
  };
  const end = intervals.length;
  if (end < 2) return { relativePace: 1, latePace: 1 };
  const middle = Math.floor(end / 2);
  return {
    relativePace: pace(end - 1, end) / pace(0, end - 1),
    latePace: pace(middle, end) / pace(0, middle),
  };
}

/**
 * The number of distinct users, topics or documents is at least this multiple of those that have come. Growth that it would
 * slow down less is the same as of a leak.
 */
const MAX_KNOWN_KEYS = 4;
/** Standard errors (of a Poisson distribution) by which the pace exceeds that of a container with such a bound. */
const MIN_FASTER_T = 2;

/**
 * Whether the later half of the intervals is too fast for a container that ends at a bound: each further key is a new one with
 * the share of keys that have not come yet.
 */
function exceedsBound(entries: readonly number[], intervals: readonly number[], latePace: number): boolean {
  const middle = Math.floor(intervals.length / 2);
  const sum = (values: readonly number[]): number => values.reduce((total, each) => total + each, 0);
  const [early, late] = [sum(intervals.slice(0, middle)), sum(intervals.slice(middle))];
  const bound = MAX_KNOWN_KEYS * (entries.at(-1) ?? 0);
  const isNew = (counts: readonly number[]): number => 1 - sum(counts) / counts.length / bound;
  const expected = isNew(entries.slice(middle)) / isNew(entries.slice(0, middle + 1));
  const error = latePace * Math.sqrt(1 / early + 1 / late);
  return latePace - MIN_FASTER_T * error > expected;
}

/** The delay of timers that run once, and whose number grows in step with the container. Scaled time. */
function pendingTimerMs({ gained }: MeasuredGrowth, growths: readonly MeasuredGrowth[]): number | null {
  const delays = growths.flatMap(({ row, gained: timers }) =>
    row.type === 'Timers' && row.removedAfterMs !== null && isInStep(timers, gained)
      ? [row.removedAfterMs]
      : [],
  );
  return delays.length === 0 ? null : Math.max(...delays);
}

/** A list of the last connections retains closed ones up to its limit. */
function limitedRetainer({ gained }: MeasuredGrowth, growths: readonly MeasuredGrowth[]): string | null {
  const list = growths.find(
    ({ row, gained: entries }) => row.expected !== null && leadsToClosed(row) && isInStep(entries, gained),
  );
  return list === undefined ? null : `${list.row.name} retains them: ${list.row.expected}`;
}

const leadsToClosed = ({ closed, sampled }: ContainerRow): boolean => closed * 2 >= sampled && closed > 0;

/**
 * Work that waits retains the connections that asked for it until it is done, also while there is less of it than before. Only
 * a census between which and the one before it grew has seen its entries.
 */
function workThatRetains({ gained }: MeasuredGrowth, series: readonly AuditedCensus[]): string | null {
  const last = series.at(-1)!;
  if (last.workedOff.length === 0) return null;
  const entries = new Map(last.census.rows.map((row) => [row.key, row.entries]));
  const work = series
    .flatMap(({ census }) => census.rows)
    .filter(leadsToClosed)
    .map((row) => ({ ...row, entries: entries.get(row.key) ?? 0 }))
    .find((row) => row.entries >= gained * (1 - IN_STEP) && isBeingWorkedOff(row, last));
  return work === undefined ? null : `${work.name} retains them, and its oldest entries are removed`;
}

/** The application grows the container between the census and the sample. */
const MAX_DIFFERENCE = { entries: 5, share: 0.1 } as const;

/** A census names the class of an object and discovery its variable, so the field and the number of entries are compared. */
function isBeingWorkedOff({ type, name, entries }: ContainerRow, { workedOff }: AuditedCensus): boolean {
  const field = fieldOf(name);
  return (
    (type === 'Map' || type === 'Set') &&
    workedOff.some(
      (each) =>
        fieldOf(each.name) === field &&
        Math.abs(each.entries - entries) <= Math.max(MAX_DIFFERENCE.entries, MAX_DIFFERENCE.share * entries),
    )
  );
}

/** `jobs` of `service.jobs` and `RenderService.jobs`. Discovery numbers equal names: `service.jobs #2`. */
const fieldOf = (name: string): string | undefined => /[\w$#]+$/.exec(name.replace(/ #\d+$/, ''))?.[0];

const isInStep = (a: number, b: number): boolean => Math.abs(a - b) <= IN_STEP * Math.max(a, b);

interface Answered extends ContainerAnswer {
  readonly growth: MeasuredGrowth;
}

/** A place in step with a leak shares its answer: one of them is the cause, and the others belong to it. */
function rankCauses(answered: readonly Answered[]): ContainerGrowth[] {
  const leaks = answered.filter(({ answer }) => answer === 'found');
  const sharing = answered.map((each): Answered => {
    if (each.answer !== 'inconclusive' || each.growth.grownCensuses < MIN_CENSUSES) return each;
    const leak = leaks.find(
      ({ growth }) =>
        isInStep(growth.gained, each.growth.gained) &&
        growth.perClosed !== null &&
        (growth.row.type !== 'Connections' || each.growth.row.closed > 0),
    );
    return leak === undefined
      ? each
      : {
          ...each,
          answer: 'found',
          because: `${leak.growth.row.name} grows in step with it: ${leak.because}`,
        };
  });
  return sharing
    .toSorted(
      (a, b) =>
        orderOf(a) - orderOf(b) ||
        causeRank(a.growth) - causeRank(b.growth) ||
        b.growth.row.bytes - a.growth.row.bytes,
    )
    .map(({ growth: { row, gained, perClosed, perHour, bytesPerHour }, answer, because }) => ({
      row,
      answer,
      because,
      gained,
      perClosed,
      perHour,
      bytesPerHour,
      inStep: sharing
        .filter((each) => each.growth.row !== row && isInStep(each.growth.gained, gained))
        .map((each) => each.growth.row.name),
    }));
}

const orderOf = ({ answer }: ContainerAnswer): number =>
  ['found', 'inconclusive', 'plateau', 'expected'].indexOf(answer);

/** More than all other ranks. */
const EFFECT_RANK = 16;

/** One entry for each closed connection in one container comes first. Then the application's code, then packages. */
function causeRank({ row, perClosed }: MeasuredGrowth): number {
  if (row.type === 'Connections') return EFFECT_RANK;
  const isOnePerClosed = perClosed !== null && Math.abs(perClosed - 1) <= IN_STEP;
  const isOwnCode = row.location !== null && (row.location.package ?? null) === null;
  const typeRank = ['Map', 'Set', 'Array', 'Object', 'Listeners'].includes(row.type)
    ? 0
    : row.type === 'Timers'
      ? 1
      : 2;
  return (isOnePerClosed ? 0 : 8) + typeRank * 2 + (isOwnCode ? 0 : 1) + (row.containers > 1 ? 4 : 0);
}
