/**
 * `ConnectionChanges`: how many entries does an opened connection add to a count, how many does a closed one remove?
 *
 * Levels share their trend: on a ramp of connections every count rises in step with them and with the time. Changes do
 * not: from minute to minute the numbers of opened and closed connections vary by chance. The regression is
 *
 *   change of the count = added x opened - removed x closed + perMinute        (one row per minute, least squares)
 *
 * Entries that are removed late (a session with a time to live) look like a leak until the first of them are removed.
 * So the leak is computed for several delays, and the delay that leaves the smallest leak counts.
 */

import { MINUTE_MS } from './history.ts';
import { createDesign, fitCoefficients, onesFor, residualSumOfSquares, type Design } from './statistics.ts';

/** Three coefficients need more rows than that; with twice as many they are more than a chance. */
const MIN_ROWS = 7;
/** A sample can read a count a moment before or after the connections, so a fit without any error is a coincidence. */
const MIN_RESIDUAL = 0.05;
/** Half an entry: the resolution of a count. */
const MIN_ERROR = 0.5;
/** Each end of a row may have one connection without its entries, in half of the rows: 1/4 for each end. */
const MIN_READING_VARIANCE = 0.5;
/** A client that authenticates has its entries this much later than its connection. */
const MAX_ENTRY_DELAY_MS = 5_000;
/** Rows closer than this are merged, because they repeat the errors of reading at slightly different times. */
const ROW_SPACING_MS = 0.9 * MINUTE_MS;
/** ws closes a socket after 30 s at the latest, and some libraries keep theirs for 20 s. */
export const CONNECTION_DELAY_MS = MINUTE_MS;

/** All rows of the window, oldest first. Rows before `fromRow` serve only to know what closed earlier. */
export interface ConnectionRows {
  readonly timesMs: Float64Array;
  readonly openedTotal: Float64Array;
  readonly closedTotal: Float64Array;
  readonly fromRow: number;
  /** Totals of the hours before the first row, oldest first, for delays that reach back further. */
  readonly earlier?: readonly ClosedTotal[];
}

interface ClosedTotal {
  readonly atMs: number;
  readonly closedTotal: number;
}

export interface ChangesOfCount {
  /** Entries that one opened connection adds. */
  readonly addedPerOpened: number;
  /** Entries that one closed connection removes within the same minute. */
  readonly removedPerClosed: number;
  /** Entries that stay although their connection closed, for the delay that leaves the fewest. */
  readonly leaked: number;
  /** The standard error of `leaked`. */
  readonly leakedError: number;
  /** `leaked` in standard errors, each with what may come from opened connections whose entries were not read yet. */
  readonly t: number;
  /** Connections that closed in the window, earlier than that delay before its end. */
  readonly closed: number;
  /**
   * The larger standard error of the two rates. It is large when each closed connection is replaced at once: the leak is
   * then known, and how many entries come with an open or stay after a close is not.
   */
  readonly ratesError: number;
}

/** Whether connections that close leave most of the leaked entries, and time or messages the smaller part. */
export const isCausedByClosing = ({
  addedPerOpened,
  removedPerClosed,
  leaked,
  closed,
}: ChangesOfCount): boolean => (addedPerOpened - removedPerClosed) * closed > leaked / 2;

/** The regression of one count. */
export interface ChangesFit {
  readonly addedPerOpened: number;
  /** `maxDelayMs`: the entries of a closed connection may be removed this much later. */
  readonly changes: (maxDelayMs: number) => ChangesOfCount;
}

interface Delay {
  /** Connections that closed in the window when it is moved back by the delay. */
  readonly closed: number;
  /** Standard error of the leaked entries for a residual deviation of 1. */
  readonly error: number;
}

export class ConnectionChanges {
  readonly #rows: ConnectionRows;
  /** The rows of the regression, about a minute apart. */
  readonly #minutes: readonly number[];
  readonly #design: Design;
  /** For each delay in minutes; the same for every count. */
  readonly #delays: Delay[] = [];

  private constructor(rows: ConnectionRows, minutes: readonly number[], design: Design) {
    this.#rows = rows;
    this.#minutes = minutes;
    this.#design = design;
  }

  /**
   * Null when opened, closed and time cannot be told apart: too few rows, or connections that open and close at a
   * perfectly constant rate. `values` is given for a count that is missing in some rows.
   */
  static create(rows: ConnectionRows, values?: Float64Array): ConnectionChanges | null {
    const minutes = minuteRows(rows, values);
    if (minutes.length < MIN_ROWS + 1) return null;
    const opened = changes(rows.openedTotal, minutes);
    const closed = changes(rows.closedTotal, minutes).map((count) => -count);
    const design = createDesign([opened, closed, onesFor(opened)]);
    return design === null ? null : new ConnectionChanges(rows, minutes, design);
  }

  /** `values` has all rows of the window. Null when the count is missing in one of the rows. */
  fit(values: Float64Array): ChangesFit | null {
    // Most counts need only this coefficient.
    const addedPerOpened = this.#addedPerOpened(values);
    if (Number.isNaN(addedPerOpened)) return null;
    return {
      addedPerOpened,
      changes: (maxDelayMs) => this.#changesOf(changes(values, this.#minutes), maxDelayMs),
    };
  }

  #addedPerOpened(values: Float64Array): number {
    const minutes = this.#minutes;
    const weights = this.#design.solver[0] ?? new Float64Array(0);
    let sum = 0;
    let before = values[minutes[0] ?? 0] ?? Number.NaN;
    for (let index = 0; index < weights.length; index += 1) {
      const value = values[minutes[index + 1] ?? 0] ?? Number.NaN;
      sum += (weights[index] ?? 0) * (value - before);
      before = value;
    }
    return sum;
  }

  #changesOf(differences: Float64Array, maxDelayMs: number): ChangesOfCount {
    const coefficients = fitCoefficients(this.#design, differences);
    const [addedPerOpened = 0, removedPerClosed = 0, perMinute = 0] = coefficients;
    let leaked = Number.POSITIVE_INFINITY;
    let best = this.#delay(0);
    for (let minutes = 0; minutes * MINUTE_MS <= maxDelayMs; minutes += 1) {
      const delay = this.#delay(minutes);
      const leakedWithDelay =
        (addedPerOpened - removedPerClosed) * delay.closed + perMinute * differences.length;
      if (leakedWithDelay >= leaked) continue;
      leaked = leakedWithDelay;
      best = delay;
    }
    const residual = residualSumOfSquares(this.#design, differences, coefficients);
    const sigma = Math.max(Math.sqrt(residual / (differences.length - coefficients.length)), MIN_RESIDUAL);
    const ratesError = sigma * Math.max(this.#lengthOf([1, 0, 0]), this.#lengthOf([0, 1, 0]));
    const tooLow = this.#lowerBy(sigma, removedPerClosed);
    const leakedError = Math.max(sigma * best.error, MIN_ERROR);
    return {
      addedPerOpened,
      removedPerClosed,
      leaked,
      leakedError,
      t: leaked / (leakedError + tooLow * this.#connectionsGained()),
      closed: best.closed,
      ratesError,
    };
  }

  /**
   * The entries of an opened connection may be estimated too low by this. A sample may have a connection and not its entries
   * yet. Where connections open at an even pace, such rows are all that differs from minute to minute, and opened connections seem
   * to add nothing. The share is the variance of these errors over that of the opened connections (attenuation of a regression
   * whose input has errors). The residuals contain the errors, and connections that wait for their entries bound them: noise of
   * the count itself makes no estimate too low.
   */
  #lowerBy(sigma: number, perConnection: number): number {
    if (perConnection <= 0) return 0;
    const errors = Math.min((sigma / perConnection) ** 2, this.#waitingVariance());
    const readingVariance = Math.max(MIN_READING_VARIANCE, errors);
    return perConnection * Math.min(1, this.#design.rows * readingVariance * this.#lengthOf([1, 0, 0]) ** 2);
  }

  /** Variance (of a Poisson distribution) of the connections that wait for their entries, at both ends of a row. */
  #waitingVariance(): number {
    const { timesMs, openedTotal } = this.#rows;
    const [first = 0] = this.#minutes;
    const last = this.#minutes.at(-1) ?? 0;
    const opened = (openedTotal[last] ?? 0) - (openedTotal[first] ?? 0);
    const spanMs = (timesMs[last] ?? 0) - (timesMs[first] ?? 0);
    return (2 * MAX_ENTRY_DELAY_MS * opened) / spanMs;
  }

  /** The growth of the number of open connections. */
  #connectionsGained(): number {
    const { openedTotal, closedTotal } = this.#rows;
    const activeAt = (row = 0): number => (openedTotal[row] ?? 0) - (closedTotal[row] ?? 0);
    return Math.max(0, activeAt(this.#minutes.at(-1)) - activeAt(this.#minutes[0]));
  }

  #delay(minutes: number): Delay {
    const cached = this.#delays[minutes];
    if (cached !== undefined) return cached;
    const [first = 0] = this.#minutes;
    const last = this.#minutes.at(-1) ?? 0;
    const delayMs = minutes * MINUTE_MS;
    const closed = closedTotalAt(this.#rows, last, delayMs) - closedTotalAt(this.#rows, first, delayMs);
    const delay = { closed, error: this.#lengthOf([closed, -closed, this.#minutes.length - 1]) };
    this.#delays[minutes] = delay;
    return delay;
  }

  /** sqrt(w' (X'X)^-1 w), the standard error of a weighted sum of the coefficients for a residual deviation of 1. */
  #lengthOf(weights: readonly number[]): number {
    const { solver, rows } = this.#design;
    let squares = 0;
    for (let row = 0; row < rows; row += 1) {
      let sum = 0;
      for (let index = 0; index < weights.length; index += 1)
        sum += (weights[index] ?? 0) * (solver[index]?.[row] ?? 0);
      squares += sum * sum;
    }
    return Math.sqrt(squares);
  }
}

function minuteRows(
  { timesMs, openedTotal, closedTotal, fromRow }: ConnectionRows,
  values?: Float64Array,
): number[] {
  const rows: number[] = [];
  let nextMs = Number.NEGATIVE_INFINITY;
  for (let row = fromRow; row < timesMs.length; row += 1) {
    const timeMs = timesMs[row] ?? 0;
    const sum = (openedTotal[row] ?? 0) + (closedTotal[row] ?? 0) + (values?.[row] ?? 0);
    if (timeMs < nextMs || Number.isNaN(sum)) continue;
    rows.push(row);
    nextMs = timeMs + ROW_SPACING_MS;
  }
  return rows;
}

/** Differences between one row and the next. */
function changes(column: Float64Array, rows: readonly number[]): Float64Array {
  const differences = new Float64Array(rows.length - 1);
  let before = column[rows[0] ?? 0] ?? 0;
  for (let index = 0; index < differences.length; index += 1) {
    const value = column[rows[index + 1] ?? 0] ?? 0;
    differences[index] = value - before;
    before = value;
  }
  return differences;
}

function closedTotalAt(
  { timesMs, closedTotal, earlier = [] }: ConnectionRows,
  row: number,
  delayMs: number,
): number {
  const untilMs = (timesMs[row] ?? 0) - delayMs;
  const firstMs = timesMs[0] ?? 0;
  if (untilMs < firstMs && earlier.length > 0)
    return interpolate(earlier, { atMs: firstMs, closedTotal: closedTotal[0] ?? 0 }, untilMs);
  let index = row;
  while (index > 0 && (timesMs[index] ?? 0) > untilMs) index -= 1;
  return closedTotal[index] ?? 0;
}

/** Earlier totals are minutes apart, so the total in between follows from both neighbours. */
function interpolate(earlier: readonly ClosedTotal[], first: ClosedTotal, atMs: number): number {
  const index = earlier.findLastIndex((point) => point.atMs <= atMs);
  const before = earlier[index] ?? earlier[0] ?? first;
  const next = earlier[index + 1];
  const after = next === undefined || next.atMs > first.atMs ? first : next;
  const share = after.atMs > before.atMs ? (atMs - before.atMs) / (after.atMs - before.atMs) : 0;
  return before.closedTotal + Math.max(0, share) * (after.closedTotal - before.closedTotal);
}
