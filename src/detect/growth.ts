/** Does a count grow on its own, beyond what the connections explain, all through the window? */

import { HOUR_MS, MINUTE_MS, type History } from './history.ts';
import {
  coefficient,
  coefficients,
  design,
  deviation,
  lastError,
  mean,
  medianOfFew,
  type Design,
} from './stats.ts';

/** A process that has just started fills its pools, caches and rooms. */
export const WARM_UP_MS = 6 * MINUTE_MS;
export const WINDOW_MS = 30 * MINUTE_MS;
const MIN_SPAN_MS = 8 * MINUTE_MS;
const MIN_ROWS = 16;
/** Where samples are rare the window is longer instead of emptier. */
const WINDOW_ROWS = 20;
/** Standard errors the trend must be away from nothing. */
const MIN_T = 6;
/** A leak keeps its pace: each part of the window must bring half of what a line would. */
const MIN_PACE = 0.5;
/** What has filled adds nothing from the sixth before the last to the last: a line, a fifth. */
const MIN_LATE = MIN_PACE / 5;
/** A step, or what filled within a third of the window, has next to nothing outside of it: a line, three fifths. */
const MIN_OUTSIDE = (MIN_PACE * 3) / 5;
/** A count that wanders falls as far as it rises; a leak gives nothing back. */
const MAX_FALL = 0.25;
const LAGS = 4;
/** The window in sixths, each by its median. */
const SIXTHS = [0, 1, 2, 3, 4, 5];

export interface Growth {
  readonly answer: 'found' | 'ok' | 'plateau' | 'inconclusive';
  /** Rise over the window that connections do not explain. */
  readonly rise: number;
  readonly now: number;
  readonly perHour: number;
  /** Left behind per connection closed meanwhile; null when none closed. */
  readonly perClosed: number | null;
  readonly windowMs: number;
}

export interface GrowthRule {
  readonly minRise: number;
  /** Whether open connections may explain the count. */
  readonly perConnection: boolean;
}

/** The counts window of one evaluation; what the series share is computed once. */
export class Counts {
  readonly spanMs: number;
  readonly missing: string | null;
  readonly meanConnections: number;
  readonly connectionsNow: number;
  readonly #history: History;
  readonly #fromRow: number;
  readonly #shared: Axis;
  /** Connections that closed in the window. */
  readonly #closed: number;

  constructor(history: History) {
    this.#history = history;
    const { window, nowMs, startedMs } = history;
    const all = window.times();
    const spacing = all.length < 2 ? 0 : ((all.at(-1) ?? 0) - (all[0] ?? 0)) / (all.length - 1);
    const windowMs = Math.max(WINDOW_MS, WINDOW_ROWS * spacing);
    this.#fromRow = window.rowAt(Math.max(nowMs - windowMs, startedMs + WARM_UP_MS));
    const times = window.times(this.#fromRow);
    const connections = window.column('connections', this.#fromRow);
    this.spanMs = times.length === 0 ? 0 : nowMs - (times[0] ?? nowMs);
    this.missing = missing(this.spanMs, times.length);
    this.#shared = axis(times, connections);
    const closedTotal = window.column('closedTotal', this.#fromRow);
    this.#closed = (closedTotal.at(-1) ?? Number.NaN) - (closedTotal[0] ?? Number.NaN);
    const known = connections.filter((value) => !Number.isNaN(value));
    this.meanConnections = known.length === 0 ? 0 : mean(known);
    this.connectionsNow = known.at(-1) ?? 0;
  }

  /** Null while a column has too few values for a verdict. */
  test(key: string, rule: GrowthRule): Growth | null {
    const values = this.#history.window.column(key, this.#fromRow);
    const { times } = this.#shared;
    const { low, high, known, first, last } = rangeOf(values);
    const windowMs = (times[last] ?? 0) - (times[first] ?? 0);
    if (missing(windowMs, known) !== null) return null;
    const range = high - low;
    const now = values[last] ?? 0;
    // Most series of most servers end here: a range below the least rise needs no regression.
    if (range < rule.minRise)
      return { answer: 'ok', rise: range, now, perHour: 0, perClosed: null, windowMs };
    const onAxis = known < values.length ? knownOf(this.#shared, values) : { on: this.#shared, values };
    const judged = judge(onAxis, { rule, high });
    const { rise } = judged;
    const answer = judged.answer === 'found' && this.#wanders(key, judged) ? 'inconclusive' : judged.answer;
    const perClosed = answer !== 'ok' && this.#closed > 0 ? rise / this.#closed : null;
    return { answer, rise, now, perHour: (rise / windowMs) * HOUR_MS, perClosed, windowMs };
  }

  /** Over all that is kept, not the window alone: has it fallen by as much lately? */
  #wanders(key: string, { rise, perConnection }: Judged): boolean {
    const { window, startedMs } = this.#history;
    const fromRow = window.rowAt(startedMs + WARM_UP_MS);
    const connections = window.column('connections', fromRow);
    const values = window.column(key, fromRow);
    const own = { values, factor: perConnection, others: connections };
    const block = Math.max(1, Math.floor((window.rows - this.#fromRow) / SIXTHS.length));
    let highest = Number.NEGATIVE_INFINITY;
    for (let to = values.length % block || block; to <= values.length; to += block) {
      // A block with a hole in it compares as nothing.
      const level = medianOfFew(own, Math.max(0, to - block), to);
      if (highest - level > MAX_FALL * rise) return true;
      if (level > highest) highest = level;
    }
    return false;
  }
}

interface Axis {
  readonly times: Float64Array;
  readonly connections: Float64Array;
  readonly withConnections: Design | null;
  readonly alone: Design | null;
  /** Standard deviation of the connections; 1 where they do not vary. */
  readonly spread: number;
}

function axis(times: Float64Array, connections: Float64Array): Axis {
  const firstMs = times[0] ?? 0;
  const span = Math.max(1, (times.at(-1) ?? 0) - firstMs);
  const tau = times.map((time) => (time - firstMs) / span);
  const one = tau.map(() => 1);
  const spread = connections.some(Number.isNaN) ? 0 : deviation(connections);
  const middle = mean(connections);
  const varies = spread > Math.max(0.01 * middle, 0.5);
  const scaled = connections.map((value) => (value - middle) / (spread || 1));
  return {
    times,
    connections,
    spread: spread || 1,
    alone: times.length < 4 ? null : design([one, tau]),
    withConnections: varies && times.length > 4 ? design([one, scaled, tau]) : null,
  };
}

const missing = (spanMs: number, rows: number): string | null =>
  spanMs >= MIN_SPAN_MS && rows >= MIN_ROWS
    ? null
    : `${Math.max(1, Math.ceil((MIN_SPAN_MS - spanMs) / MINUTE_MS))} more minutes of samples`;

/** `first` and `last` are the rows of the first and the last value that is known. */
function rangeOf(values: Float64Array) {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  let known = 0;
  let first = -1;
  let last = -1;
  for (let row = 0; row < values.length; row += 1) {
    const value = values[row] ?? Number.NaN;
    if (Number.isNaN(value)) continue;
    if (known === 0) first = row;
    last = row;
    known += 1;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return { low, high, known, first, last };
}

interface OnAxis {
  readonly on: Axis;
  readonly values: Float64Array;
}

/** The rows alone in which the series has a value. */
function knownOf({ times, connections }: Axis, values: Float64Array): OnAxis {
  const known = (_: number, row: number): boolean => !Number.isNaN(values[row]);
  return { on: axis(times.filter(known), connections.filter(known)), values: values.filter(known) };
}

interface Judged extends Pick<Growth, 'answer' | 'rise'> {
  /** Of the count, what one more connection brings. */
  readonly perConnection: number;
}

/** The cheap questions first: how much it rose beyond the connections, and whether all through the window. */
function judge({ on, values }: OnAxis, { rule, high }: { rule: GrowthRule; high: number }): Judged {
  const using = rule.perConnection ? (on.withConnections ?? on.alone) : on.alone;
  if (using === null) return { answer: 'inconclusive', rise: 0, perConnection: 0 };
  const perStep = using === on.alone ? 0 : Math.max(coefficient(using, values, 1), 0);
  const own = { values, factor: perStep, others: using.columns[1] ?? values };
  const edge = (i: number): number => Math.floor((values.length * i) / SIXTHS.length);
  const sixth = (i: number): number => medianOfFew(own, edge(i), edge(i + 1));
  const rise = sixth(SIXTHS.length - 1) - sixth(0);
  const told = { rise, perConnection: perStep / on.spread };
  if (rise < rule.minRise) return { answer: 'ok', ...told };
  if (isOver(SIXTHS.map(sixth))) return { answer: 'plateau', ...told };
  const fitted = coefficients(using, values);
  const trend = fitted.at(-1) ?? 0;
  const t = trend / Math.max(lastError(using, values, fitted, LAGS), 0.001 * high, 0.25);
  return { answer: t > MIN_T && trend > rise / 2 ? 'found' : 'inconclusive', ...told };
}

/** By the levels of the sixths: has it stopped, or come all at once? */
function isOver(levels: readonly number[]): boolean {
  const rise = (levels.at(-1) ?? 0) - (levels[0] ?? 0);
  const late = (levels.at(-1) ?? 0) - (levels.at(-2) ?? 0);
  const inThird = levels.slice(2).map((level, i) => level - (levels[i] ?? 0));
  return late < MIN_LATE * rise || rise - Math.max(...inThird) < MIN_OUTSIDE * rise;
}
