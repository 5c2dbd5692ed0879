/** `CountWindow` tests whether a count grows through the whole window, beyond what the connections explain. */

import {
  COUNTS_MIN_SPAN_MS,
  COUNTS_SLOW_WINDOW_MS,
  COUNTS_TREND,
  COUNTS_WARM_UP_MS,
  COUNTS_WINDOW_MS,
  LEAKED_PER_CLOSED,
  type Threshold,
} from '../kinds/index.ts';
import {
  ConnectionChanges,
  isCausedByClosing,
  type ChangesFit,
  type ChangesOfCount,
  type ConnectionRows,
} from './connection-changes.ts';
import {
  EXPLAINED_BY_OPENED,
  FALLS,
  shortGrowth,
  STRAIGHT_LINE,
  UNCERTAIN,
  FEW_PER_CLOSED,
  lateCleanup,
  type Uncertainty,
} from './count-uncertainty.ts';
import { isMultiple, isStepOrPlateau, MAX_FALL, SHARE_OF_RISE, SIXTHS } from './count-shape.ts';
import { HOUR_MS, MINUTE_MS, type CountHistory } from './history.ts';
import { regressorsOf, withoutGaps, type Regressors } from './count-regressors.ts';
import type { Column } from './sample-row.ts';
import {
  fitCoefficient,
  fitCoefficients,
  isNumber,
  lastStandardError,
  mean,
  medianOfRows,
  rangeOf,
  withoutMissing,
  type Design,
  type Difference,
} from './statistics.ts';

/** 8 min of rows of half a minute. */
const MIN_ROWS = 16;
/** Recordings with rare samples get a longer window instead of an emptier one. */
const WINDOW_ROWS = 20;
/** Lags of the Newey-West error: 2 min of rows. */
const LAGS = 4;
/** A sixth of the window has at most a sixth of 128 rows. */
const MAX_ROWS_OF_MEDIAN = 64;
/** Fewer closed connections do not tell a leak from a connection that happens to be cleaned up late. */
const MIN_CLOSED = 20;
/** A perfectly straight line has no error; a thousandth of the count, or a quarter, stands in. */
const MIN_ERROR = { share: 0.001, count: 0.25 } as const;

export interface Growth {
  readonly answer: 'found' | 'ok' | 'plateau' | 'inconclusive';
  /** Rise over the window that the connections do not explain. */
  readonly rise: number;
  readonly now: number;
  readonly perHour: number;
  /** Leaked entries per connection that closed in the window. Null when none closed. */
  readonly perClosed: number | null;
  /** Null where opened, closed and time cannot be told apart, and for a count that no connection explains. */
  readonly changes: ChangesOfCount | null;
  /** Null for a certain answer. */
  readonly uncertainty: Uncertainty | null;
  readonly windowMs: number;
}

export interface GrowthRule {
  readonly minRise: number;
  /** Whether the open connections may explain the count. */
  readonly perConnection: boolean;
  /** A shorter growth is inconclusive. */
  readonly minSpanMs?: number;
  /**
   * Set for entries of connections: a healthy server removes those of a closed one after this delay at the latest. The
   * delay may depend on the rise that the connections do not explain.
   */
  readonly maxDelayMs?: (rise: number) => number;
  /** For counts that connections change, as listeners and resources: what varies by itself also rises for an hour by chance. */
  readonly hasSlowWindow?: boolean;
  /** Set where a leak of few of the closed connections matters, and hours may pass until it is certain. */
  readonly hasLongWindow?: boolean;
}

/** The counts of hours. */
interface LongTerm {
  /** Null unless the count grows for hours. */
  leakOf: (column: Column, rule: GrowthRule) => Growth | null;
}

/** The window of counts of one evaluation. It computes once what all counts share. */
export class CountWindow {
  /** The data that the window still needs. Null when it has enough. */
  readonly missing: string | null;
  /** 0 when the samples do not have connections. */
  readonly meanConnections: number;
  readonly connectionsNow: number;
  /** The first row of the window. */
  readonly fromRow: number;
  readonly #history: CountHistory;
  readonly #regressors: Regressors;
  readonly #closedInWindow: number;
  readonly #connectionRows: ConnectionRows;
  /** Undefined until a count needs it. */
  #changes: ConnectionChanges | null | undefined;
  readonly #scratch = new Float64Array(MAX_ROWS_OF_MEDIAN);

  readonly #lengthMs: number;
  /** Undefined until a slow growth needs it. */
  #slow: CountWindow | null | undefined;

  readonly #longTerm: LongTerm | null;

  constructor(history: CountHistory, lengthMs: number = COUNTS_WINDOW_MS, longTerm: LongTerm | null = null) {
    this.#history = history;
    this.#longTerm = longTerm;
    this.#lengthMs = lengthMs;
    const { window, nowMs, startedMs } = history;
    const windowMs = Math.max(lengthMs, WINDOW_ROWS * window.meanSpacingMs());
    this.fromRow = window.rowAt(Math.max(nowMs - windowMs, startedMs + COUNTS_WARM_UP_MS));
    const times = window.times(this.fromRow);
    const connections = window.column('connections', this.fromRow);
    this.missing = missingData(times.length === 0 ? 0 : nowMs - (times[0] ?? nowMs), times.length);
    this.#regressors = regressorsOf(times, connections);
    this.#connectionRows = {
      timesMs: window.times(),
      openedTotal: window.column('openedTotal'),
      closedTotal: window.column('closedTotal'),
      fromRow: this.fromRow,
      earlier: history.coarse,
    };
    const closedTotal = window.column('closedTotal', this.fromRow);
    this.#closedInWindow = (closedTotal.at(-1) ?? Number.NaN) - (closedTotal[0] ?? Number.NaN);
    const valid = withoutMissing(connections);
    this.meanConnections = valid.length === 0 ? 0 : mean(valid);
    this.connectionsNow = valid.at(-1) ?? 0;
  }

  /** The smallest rise that opens an alert: a number, or on a large server a share of its connections. */
  minRise({ rise, riseShare }: { readonly rise: Threshold; readonly riseShare: Threshold }): number {
    return Math.max(rise.value, riseShare.value * this.meanConnections);
  }

  /** Connections that closed in the last `spanMs`. NaN where the samples do not have them. */
  closedWithin(spanMs: number): number {
    return (this.#connectionRows.closedTotal.at(-1) ?? Number.NaN) - this.#closedBefore(spanMs);
  }

  /**
   * Whether entries that stay for a while after their connection closed may have grown by half of this in the window: more of
   * them stay when more connections close. True until the process is older than the delay and the window.
   */
  mayComeFromLateCleanup(
    leaked: number,
    { windowMs, maxDelayMs }: { readonly windowMs: number; readonly maxDelayMs: number },
  ): boolean {
    const closed = this.closedWithin(windowMs);
    for (let delayMs = Math.min(DELAY_STEP_MS, maxDelayMs); delayMs <= maxDelayMs; delayMs += DELAY_STEP_MS) {
      const before = this.closedWithin(windowMs + delayMs) - closed;
      if (!(this.closedWithin(delayMs) - before < leaked / 2)) return true;
    }
    return false;
  }

  /** Null while the column has too few values. */
  growthOf(column: Column, rule: GrowthRule): Growth | null {
    const growth = this.#growthInWindow(column, rule);
    if (growth === null || growth.answer === 'found') return growth;
    const slow = rule.hasSlowWindow === true ? (this.#slowWindow()?.growthOf(column, rule) ?? null) : null;
    if (slow?.answer === 'found') return slow;
    return rule.hasLongWindow === true ? (this.#longTerm?.leakOf(column, rule) ?? growth) : growth;
  }

  /** When a few of the closed connections leave an entry, by chance, only a longer window makes that certain. */
  #slowWindow(): CountWindow | null {
    if (this.#slow === undefined) {
      const { nowMs, startedMs } = this.#history;
      const isLongEnough = nowMs - startedMs >= COUNTS_WARM_UP_MS + COUNTS_SLOW_WINDOW_MS;
      const isSlow = this.#lengthMs === COUNTS_SLOW_WINDOW_MS;
      this.#slow = isLongEnough && !isSlow ? new CountWindow(this.#history, COUNTS_SLOW_WINDOW_MS) : null;
    }
    return this.#slow;
  }

  #growthInWindow(column: Column, rule: GrowthRule): Growth | null {
    const rows = this.#history.window.column(column, this.fromRow);
    const { times } = this.#regressors;
    const rangeOfRows = rangeOf(rows);
    const hasGaps = Number.isNaN(rangeOfRows);
    const values = hasGaps ? rows.filter(isNumber) : rows;
    const first = hasGaps ? rows.findIndex(isNumber) : 0;
    const last = hasGaps ? rows.findLastIndex(isNumber) : rows.length - 1;
    const windowMs = (times[last] ?? 0) - (times[first] ?? 0);
    if (missingData(windowMs, values.length) !== null) return null;
    const range = hasGaps ? rangeOf(values) : rangeOfRows;
    const now = rows[last] ?? 0;
    // Most columns of most servers end here: a range below the minimum needs no regression.
    if (range < rule.minRise)
      return {
        answer: 'ok',
        rise: range,
        now,
        perHour: 0,
        perClosed: null,
        changes: null,
        uncertainty: null,
        windowMs,
      };
    const fit = rule.maxDelayMs === undefined ? null : this.#fitChanges(column, hasGaps);
    const regressors = hasGaps ? withoutGaps(this.#regressors, rows) : this.#regressors;
    const test = this.#test(regressors, values, rule, fit);
    const { rise, changes } = test;
    const doubt = test.answer === 'found' ? this.#doubtOn(column, test, { rule, windowMs }) : null;
    const answer = doubt === null ? test.answer : 'inconclusive';
    const uncertainty = doubt ?? test.uncertainty;
    return {
      answer,
      rise,
      now,
      perHour: (rise / (SHARE_OF_RISE * windowMs)) * HOUR_MS,
      perClosed: answer === 'ok' ? null : this.#perClosed(rise, changes, { first, last }),
      changes,
      uncertainty,
      windowMs,
    };
  }

  /** `first` and `last` are the rows of the count: one that was discovered late has not seen all closes of the window. */
  #perClosed(
    rise: number,
    changes: ChangesOfCount | null,
    { first, last }: { readonly first: number; readonly last: number },
  ): number | null {
    if (changes !== null && changes.closed >= MIN_CLOSED) return changes.leaked / changes.closed;
    const { closedTotal } = this.#connectionRows;
    const closed = (closedTotal[this.fromRow + last] ?? 0) - (closedTotal[this.fromRow + first] ?? 0);
    return closed > 0 ? rise / (SHARE_OF_RISE * closed) : null;
  }

  #fitChanges(column: Column, hasGaps: boolean): ChangesFit | null {
    const { window } = this.#history;
    if (hasGaps) {
      const values = window.column(column);
      return ConnectionChanges.create(this.#connectionRows, values)?.fit(values) ?? null;
    }
    if (this.#changes === undefined) this.#changes = ConnectionChanges.create(this.#connectionRows);
    return this.#changes?.fit(window.column(column)) ?? null;
  }

  /** Connections that closed until the delay before now, since the start of the process. */
  #closedBefore(delayMs: number): number {
    const { window, nowMs, coarse } = this.#history;
    const { timesMs, closedTotal } = this.#connectionRows;
    const atMs = nowMs - delayMs;
    // The rows reach back for an hour only.
    return (timesMs[0] ?? 0) <= atMs
      ? (closedTotal[window.rowAt(atMs)] ?? Number.NaN)
      : (coarse.findLast((point) => point.atMs <= atMs)?.closedTotal ?? 0);
  }

  /** The cheap tests come first: the rise beyond the connections, then its shape, then its certainty. */
  #test(regressors: Regressors, values: Float64Array, rule: GrowthRule, fit: ChangesFit | null): TrendTest {
    const { alone, withConnections, deviation } = regressors;
    const design = rule.perConnection ? (withConnections ?? (regressors.varies ? null : alone)) : alone;
    if (design === null)
      return { answer: 'inconclusive', uncertainty: STRAIGHT_LINE, changes: null, rise: 0, perConnection: 0 };
    // Part of the count that one standard deviation of the connections brings: by changes, else by levels.
    const byFit = fit === null ? null : fit.addedPerOpened * deviation;
    const factor = design === alone ? 0 : Math.max(0, byFit ?? fitCoefficient(design, values, 1));
    const difference = { values, factor, others: design.columns[1] ?? values };
    const rise = this.#level(difference, SIXTHS - 1) - this.#level(difference, 0);
    const perConnection = factor / deviation;
    if (rise < rule.minRise) return { answer: 'ok', uncertainty: null, changes: null, rise, perConnection };
    const isExplained =
      rule.perConnection &&
      (this.#isOnePerConnection(values, regressors.connections, rule.minRise) ||
        isMultiple(values, regressors.connections));
    if (isExplained) return EXPLAINED;
    if (isStepOrPlateau(this.#levels(difference)))
      return { answer: 'plateau', uncertainty: null, changes: null, rise, perConnection };
    const { answer, uncertainty, changes } = this.#certainty(
      { design, values, rise, connections: regressors.connections },
      rule,
      fit,
    );
    return { answer, uncertainty, changes, rise, perConnection };
  }

  /**
   * Whether the count stays as far from the number of open connections as it was. One entry per open connection explains
   * that, also where connections, time and closes rise in step, so that no regression can tell them apart.
   */
  #isOnePerConnection(values: Float64Array, connections: Float64Array, minRise: number): boolean {
    const difference = { values, factor: 1, others: connections };
    const first = this.#level(difference, 0);
    let [low, high] = [first, first];
    for (let sixth = 1; sixth < SIXTHS && high - low < minRise / 2; sixth += 1) {
      const level = this.#level(difference, sixth);
      low = Math.min(low, level);
      high = Math.max(high, level);
    }
    return high - low < minRise / 2;
  }

  #levels(difference: Difference): number[] {
    const levels: number[] = [];
    for (let sixth = 0; sixth < SIXTHS; sixth += 1) levels.push(this.#level(difference, sixth));
    return levels;
  }

  /** The median of a sixth of the window. */
  #level(difference: Difference, sixth: number): number {
    const rows = difference.values.length;
    const from = Math.floor((rows * sixth) / SIXTHS);
    const to = Math.floor((rows * (sixth + 1)) / SIXTHS);
    return medianOfRows(difference, from, to, this.#scratch);
  }

  /** Whether a rise that has the shape of a leak is one. */
  #certainty(
    trend: Trend,
    rule: GrowthRule,
    fit: ChangesFit | null,
  ): Pick<Growth, 'answer' | 'changes' | 'uncertainty'> {
    const maxDelayMs = rule.maxDelayMs?.(trend.rise);
    const changes = maxDelayMs === undefined ? null : (fit?.changes(maxDelayMs) ?? null);
    let uncertainty: Uncertainty | null;
    // The changes have a certainty of their own.
    if (changes !== null)
      uncertainty =
        uncertaintyOf(changes, rule, maxDelayMs ?? 0) ??
        this.#lateCleanupByTime(changes, maxDelayMs ?? 0) ??
        this.#explainedByOpened(trend, rule, changes);
    else if (trend.design === this.#regressors.withConnections && !this.#regressors.bends)
      uncertainty = STRAIGHT_LINE;
    else if (hasTrend(trend)) uncertainty = this.#lateCleanupWithoutChanges(maxDelayMs);
    else uncertainty = UNCERTAIN;
    return { answer: uncertainty === null ? 'found' : 'inconclusive', changes, uncertainty };
  }

  /** Growth that seems to come with time, although the connections may cause it. */
  #lateCleanupByTime(changes: ChangesOfCount, maxDelayMs: number): Uncertainty | null {
    if (changes.ratesError <= MAX_RATES_ERROR || isCausedByClosing(changes)) return null;
    const times = this.#regressors.times;
    const windowMs = (times.at(-1) ?? 0) - (times[0] ?? 0);
    return this.mayComeFromLateCleanup(changes.leaked, { windowMs, maxDelayMs })
      ? lateCleanup(maxDelayMs)
      : null;
  }

  /**
   * Connections that opened before may have no entries. When they close, they remove none, and those that replace them add
   * some: without more entries than the open connections add, all of them may belong to open connections.
   */
  #explainedByOpened(
    { values, connections }: Trend,
    { perConnection }: GrowthRule,
    { addedPerOpened, leaked, closed, ratesError }: ChangesOfCount,
  ): Uncertainty | null {
    if (!perConnection) return null;
    // A connection adds a whole number, and cannot leave more than it has added.
    const factor =
      ratesError > MAX_RATES_ERROR
        ? Math.ceil(Math.max(addedPerOpened, leaked / closed) - MAX_RATES_ERROR)
        : addedPerOpened;
    const beyondOpen = { values, factor, others: connections };
    return this.#level(beyondOpen, SIXTHS - 1) > 0 ? null : EXPLAINED_BY_OPENED;
  }

  /** Without changes the delay cannot be estimated, so enough connections must have closed before it. */
  #lateCleanupWithoutChanges(maxDelayMs: number | undefined): Uncertainty | null {
    // Samples without connections (`MemoryMonitor`) do not have the number of closed ones: NaN.
    if (maxDelayMs === undefined || !(this.#closedInWindow >= MIN_CLOSED)) return null;
    return this.#closedBefore(maxDelayMs) >= MIN_CLOSED ? null : lateCleanup(maxDelayMs);
  }

  #doubtOn(
    column: Column,
    test: TrendTest,
    { rule: { minSpanMs = 0 }, windowMs }: { rule: GrowthRule; windowMs: number },
  ): Uncertainty | null {
    if (windowMs < minSpanMs) return shortGrowth(minSpanMs);
    return this.#hasFallen(column, test) ? FALLS : null;
  }

  /** Whether the count has fallen by a good part of its rise, in all rows since the warm-up. */
  #hasFallen(column: Column, { rise, perConnection }: TrendTest): boolean {
    const { window, startedMs } = this.#history;
    const fromRow = window.rowAt(startedMs + COUNTS_WARM_UP_MS);
    const values = window.column(column, fromRow);
    const difference = { values, factor: perConnection, others: window.column('connections', fromRow) };
    const block = Math.max(1, Math.floor((window.rows - this.fromRow) / SIXTHS));
    let highest = Number.NEGATIVE_INFINITY;
    for (let to = values.length % block || block; to <= values.length; to += block) {
      // The level of a block with a missing value is NaN, for which both comparisons are false.
      const level = medianOfRows(difference, Math.max(0, to - block), to, this.#scratch);
      if (highest - level > MAX_FALL * rise) return true;
      if (level > highest) highest = level;
    }
    return false;
  }
}

const EXPLAINED: TrendTest = {
  answer: 'ok',
  uncertainty: null,
  changes: null,
  rise: 0,
  perConnection: 1,
};
/** Delays of a late cleanup are tried in steps of this. */
const DELAY_STEP_MS = 5 * MINUTE_MS;
/** Above this error the rates do not tell growth with connections from growth with time. */
const MAX_RATES_ERROR = 0.1;

function uncertaintyOf(
  { leaked, t, closed }: ChangesOfCount,
  { minRise }: GrowthRule,
  maxDelayMs: number,
): Uncertainty | null {
  if (leaked < minRise) return lateCleanup(maxDelayMs);
  if (!(t > COUNTS_TREND.value)) return UNCERTAIN;
  return closed >= MIN_CLOSED && leaked < LEAKED_PER_CLOSED.value * closed ? FEW_PER_CLOSED : null;
}

function missingData(spanMs: number, rows: number): string | null {
  if (spanMs >= COUNTS_MIN_SPAN_MS && rows >= MIN_ROWS) return null;
  const minutes = Math.max(1, Math.ceil((COUNTS_MIN_SPAN_MS - spanMs) / MINUTE_MS));
  return `${minutes} more ${minutes === 1 ? 'minute' : 'minutes'} of samples`;
}

interface TrendTest extends Pick<Growth, 'answer' | 'rise' | 'changes' | 'uncertainty'> {
  /** Part of the count that one more connection brings. */
  readonly perConnection: number;
}

interface Trend {
  readonly design: Design;
  readonly values: Float64Array;
  readonly connections: Float64Array;
  readonly rise: number;
}

/** Whether the regression on time gives most of the rise, by many standard errors. Time is the last regressor. */
function hasTrend({ design, values, rise }: Trend): boolean {
  const coefficients = fitCoefficients(design, values);
  const trend = coefficients.at(-1) ?? 0;
  const error = lastStandardError(design, values, coefficients, LAGS);
  let high = 0;
  for (let row = 0; row < values.length; row += 1) high = Math.max(high, values[row] ?? 0);
  const t = trend / Math.max(error, MIN_ERROR.share * high, MIN_ERROR.count);
  return t > COUNTS_TREND.value && trend > rise / 2;
}
