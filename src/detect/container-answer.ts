/** The rules by which a container that grew is a leak, a suspect, or expected growth. The first rule that holds decides. Pure. */

import { formatDuration } from '../core/format.ts';
import type { ContainerRow } from '../types/index.ts';
import { MINUTE_MS } from './history.ts';

export interface ContainerAnswer {
  readonly answer: 'found' | 'inconclusive' | 'plateau' | 'expected';
  /** Why it is a leak, or what else it may be. */
  readonly because: string;
}

/** How one container grew since the last interval in which it stood still. Scaled time. */
export interface MeasuredGrowth {
  readonly row: ContainerRow;
  /** Growth that the open connections do not explain. */
  readonly gained: number;
  /** For each connection that closed meanwhile; null when too few closed. */
  readonly perClosed: number | null;
  /** All entries that were added, for each connection that opened meanwhile. */
  readonly perOpened: number;
  readonly perHour: number;
  readonly bytesPerHour: number;
  readonly bytesPerEntry: number;
  /** Pace of the last interval as a share of the pace before it. */
  readonly relativePace: number;
  /** Pace of the later half of the intervals as a share of the pace of the earlier half. */
  readonly latePace: number;
  /** No collection that ends at a bound would keep this pace: see `exceedsBound`. */
  readonly exceedsBound: boolean;
  /** Number of the last censuses in which it grew without a pause. */
  readonly grownCensuses: number;
  readonly grownMs: number;
  /** Uptime at the last census when it has grown at one pace since the process started, with nothing in it; else null. */
  readonly grownSinceStartMs: number | null;
}

export interface AnswerContext {
  /** Closed connections that are still in the heap. */
  readonly closedInHeap: number;
  /** Delay of timers that run once and whose number grows in step with the container; null when there are none. */
  readonly timerMs: number | null;
  /** The post-GC heap grows too. */
  readonly memoryGrows: boolean;
  /** The memory of Buffers grows, and the container has at least half of it. */
  readonly explainsBuffers: boolean;
  /** The application was removing its oldest entries at the last census. */
  readonly isWorkedOff: boolean;
}

/** Chosen: with three censuses a step between two of them is not taken for growth. */
export const MIN_CENSUSES = 3;
/** Sessions of Socket.IO and sockets in a close handshake outlive their connection for a while, and more so in a burst. */
const CERTAIN_CENSUSES = 4;
/**
 * The number of censuses after which growth that does not slow down is more than a cache that fills (ADR 14). The start of
 * the process counts as one: every container was empty then.
 */
export const OUTGROWN_CENSUSES = 5;
/** Caches of the recorded healthy servers fill for up to 55 min. */
const OUTGROWN_MS = 90 * MINUTE_MS;
/** A leak keeps its pace: the last interval has at least this share of the mean pace before it, and at most the inverse. */
export const MIN_PACE = 0.5;
/**
 * A Map by user fills with users who come back: when it has half of them, a connection adds half an entry. Without closed
 * connections or memory as evidence, only growth that keeps its pace is a leak.
 */
const MIN_LATE_PACE = 0.8;
/** Fewer closed connections in the heap belong to connections that are just closing. */
const MIN_CLOSED_IN_HEAP = 20;
/** The same limit as for counts: one entry per 20 closed connections (`LEAKED_PER_CLOSED`). */
const MIN_PER_CLOSED = 0.05;
/** An entry for each connection is 1; the number of connections is read a moment before or after the heap. */
const MIN_PER_OPENED = 0.9;
/**
 * A Map by user, topic or document fills with a part of an entry for each connection, at a pace that seems constant at first.
 * A new key for each connection gives a whole number.
 */
const MAX_FRACTION = 0.05;
const KEYED: ReadonlySet<string> = new Set(['Map', 'Set', 'Object']);
/** Share of the sampled entries that lead to closed connections. */
const MIN_CLOSED_SHARE = 0.5;
/** After the delay of its timers a healthy container stops growing; after twice the delay it must have. */
const MIN_DELAYS = 2;
/** The entries of y-protocols' awareness, two numbers for each client that ever came, have 90 to 150 bytes. */
const MIN_ENTRY_BYTES = 200;
/** Chosen: smaller growth fills 100 MiB in more than four days. */
const MIN_BYTES_PER_HOUR = 1024 * 1024;
/** Rows of Node itself whose location is the code of the entries. */
const OF_NODE: ReadonlySet<string> = new Set(['Timers', 'Handles', 'Listeners']);

export const answerOf = (growth: MeasuredGrowth, context: AnswerContext): ContainerAnswer =>
  expectedAnswer(growth, context) ??
  waitingAnswer(growth, context) ??
  leakAnswer(growth, context) ?? { answer: 'inconclusive', because: fillingBecause(growth) };

function fillingBecause(growth: MeasuredGrowth): string {
  if (growth.latePace < MIN_LATE_PACE) return 'its growth slows down a little, as of a cache that is filling';
  return mayHaveReturningKeys(growth) && !growth.exceedsBound
    ? 'its keys may be users or documents, which come back and whose number is limited'
    : 'it may be a cache that is filling';
}

/** Whether a connection, or a message, does not always bring a new key. */
function mayHaveReturningKeys({ row, perOpened }: MeasuredGrowth): boolean {
  const entries = Math.round(perOpened);
  return KEYED.has(row.type) && (entries < 1 || Math.abs(perOpened - entries) > MAX_FRACTION);
}

const leadsToClosed = ({ row }: MeasuredGrowth, { closedInHeap }: AnswerContext): boolean =>
  row.sampled > 0 && row.closed >= row.sampled * MIN_CLOSED_SHARE && closedInHeap >= MIN_CLOSED_IN_HEAP;

const isRepeating = ({ type, removedAfterMs }: ContainerRow): boolean =>
  type === 'Timers' && removedAfterMs === null;

/** Growth that no leak explains. */
function expectedAnswer(growth: MeasuredGrowth, context: AnswerContext): ContainerAnswer | null {
  const { row, relativePace } = growth;
  if (row.expected !== null) return { answer: 'expected', because: row.expected };
  if (relativePace < MIN_PACE) return { answer: 'plateau', because: 'its growth slows down' };
  const isOfNode = row.owner === 'node' && !OF_NODE.has(row.type) && !leadsToClosed(growth, context);
  return row.location === null || isOfNode
    ? { answer: 'expected', because: 'no code of the application or of a package adds to it' }
    : null;
}

/** Growth that more censuses will explain. */
function waitingAnswer(growth: MeasuredGrowth, context: AnswerContext): ContainerAnswer | null {
  const { row, grownCensuses, grownMs, relativePace } = growth;
  const inconclusive = (because: string): ContainerAnswer => ({ answer: 'inconclusive', because });
  if (grownCensuses < MIN_CENSUSES)
    return inconclusive(`it grew between ${grownCensuses} censuses, ${MIN_CENSUSES} are needed`);
  const timerMs = row.removedAfterMs ?? context.timerMs;
  // Growth that lasts much longer than the timers shows that they do not remove the entries.
  if (timerMs !== null && timerMs * MIN_DELAYS > grownMs)
    return inconclusive(`a timer of ${formatDuration(timerMs)} may remove its entries`);
  if (context.isWorkedOff && !context.memoryGrows)
    return inconclusive('its oldest entries are removed, so it may be work that waits');
  if (relativePace > 1 / MIN_PACE) return inconclusive('its growth is uneven');
  return null;
}

/** Growth that nothing bounds. */
function leakAnswer(growth: MeasuredGrowth, context: AnswerContext): ContainerAnswer | null {
  const { row, perClosed, grownCensuses } = growth;
  const leak = (because: string): ContainerAnswer => ({ answer: 'found', because });
  const growsWithClosed = perClosed !== null && perClosed >= MIN_PER_CLOSED;
  if (row.type === 'Connections' && !growsWithClosed)
    return { answer: 'inconclusive', because: 'few of the connections that close stay in memory' };
  if (leadsToClosed(growth, context)) {
    if (row.removal === 'none' || grownCensuses >= CERTAIN_CENSUSES) return leak(closedBecause(row));
    const because =
      row.type === 'Connections'
        ? 'something may release them later'
        : 'its entries lead to closed connections, and code may remove them later';
    return { answer: 'inconclusive', because };
  }
  const withMemory = growsWithMemory(growth, context);
  if (withMemory !== null) return leak(withMemory);
  if (row.removal === 'timer')
    return { answer: 'inconclusive', because: 'a function that a timer runs may remove its entries' };
  if (isSmall(growth))
    return {
      answer: 'inconclusive',
      because: 'its entries are small: they fill 100 MiB in more than four days',
    };
  const neverRemoved = growsWithClosed ? neverRemovedBecause(growth) : null;
  return neverRemoved === null ? outgrownAnswer(growth) : leak(neverRemoved);
}

/** Why growth of memory makes the container a leak; null when it does not. */
function growsWithMemory(
  { row, grownCensuses, latePace }: MeasuredGrowth,
  { memoryGrows, explainsBuffers }: AnswerContext,
): string | null {
  if (memoryGrows && (row.removal !== 'timer' || grownCensuses >= OUTGROWN_CENSUSES))
    return 'the post-GC heap grows with it';
  // Caches of Buffers are common, so code that removes entries speaks for one.
  return explainsBuffers && row.removal === 'none' && latePace >= MIN_LATE_PACE
    ? 'it has the memory of Buffers that grows, and no code in its file removes entries'
    : null;
}

const closedBecause = ({ type, closed, sampled }: ContainerRow): string =>
  type === 'Connections'
    ? 'no garbage collection frees them'
    : `${closed} of ${sampled} sampled entries lead to closed connections`;

/** Why the entries of closed connections stay. Null when code may remove them, or when the growth slows down. */
function neverRemovedBecause(growth: MeasuredGrowth): string | null {
  const { row, latePace, perOpened } = growth;
  if (isRepeating(row)) return 'its timers repeat and are not cleared';
  if (row.type === 'Promises') return 'the promise does not settle';
  const isOneForEach =
    latePace >= MIN_LATE_PACE && perOpened >= MIN_PER_OPENED && !mayHaveReturningKeys(growth);
  return row.removal === 'none' && isOneForEach ? 'no code in its file removes entries' : null;
}

/** A container that has grown for so long without slowing down is no cache on its way to its limit. */
function outgrownAnswer(growth: MeasuredGrowth): ContainerAnswer | null {
  const { grownCensuses, grownMs, grownSinceStartMs, latePace } = growth;
  if (latePace < MIN_LATE_PACE || (mayHaveReturningKeys(growth) && !growth.exceedsBound)) return null;
  const isSinceStart = grownSinceStartMs !== null;
  const states = grownCensuses + (isSinceStart ? 1 : 0);
  const ms = grownSinceStartMs ?? grownMs;
  if (states < OUTGROWN_CENSUSES || ms < OUTGROWN_MS) return null;
  const since = isSinceStart ? ', since the process started,' : '';
  return {
    answer: 'found',
    because: `it has grown for ${formatDuration(ms)}${since} without slowing down (${grownCensuses} censuses)`,
  };
}

/** Timers, handles and listeners cost CPU or descriptors, whatever their size. */
const isSmall = ({ row, bytesPerEntry, bytesPerHour }: MeasuredGrowth): boolean =>
  !OF_NODE.has(row.type) && bytesPerEntry < MIN_ENTRY_BYTES && bytesPerHour < MIN_BYTES_PER_HOUR;
