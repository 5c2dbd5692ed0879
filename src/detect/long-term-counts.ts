/** `LongTermCounts` tests the counts of the last hours, for leaks of which few of the closed connections leave anything. */

import { COUNTS_LONG_WINDOW_MS, COUNTS_WARM_UP_MS } from '../kinds/index.ts';
import type { Sample } from '../types/index.ts';
import { CountWindow, type Growth, type GrowthRule } from './count-growth.ts';
import { isCausedByClosing } from './connection-changes.ts';
import { leakOfFollowed } from './followed-listeners.ts';
import type { CountHistory } from './history.ts';
import type { Column, Series } from './sample-row.ts';
import { median, withoutMissing } from './statistics.ts';

/** A cache that fills up slows down: 1 - exp(-t) has two thirds of its first pace after 0.4 of its time constant. */
const MIN_PACE = 0.67;
/** The window in sixths: three levels that are half of it apart. */
const SIXTHS = 6;

/** Valid until the next row of the long-term window, which comes every 3 min. */
export class LongTermCounts {
  readonly history: CountHistory;
  readonly #counts: CountWindow;
  /** Each count is tested once per row. */
  readonly #leaks = new Map<Column, Growth | null>();

  readonly #followedLeaks = new Map<Column, Growth | null>();

  private constructor(history: CountHistory) {
    this.history = history;
    this.#counts = new CountWindow(history, COUNTS_LONG_WINDOW_MS);
  }

  /** Null before the window is complete. `previous` stays until there is another row. */
  static of(history: CountHistory | null, previous: LongTermCounts | null): LongTermCounts | null {
    if (history === null || history.nowMs - history.startedMs < COUNTS_WARM_UP_MS + COUNTS_LONG_WINDOW_MS)
      return null;
    return previous?.history === history ? previous : new LongTermCounts(history);
  }

  /** A certain growth that keeps its pace; null otherwise. */
  leakOf(column: Column, rule: GrowthRule): Growth | null {
    const cached = this.#leaks.get(column);
    if (cached !== undefined) return cached;
    const growth = this.#rises(column, rule.minRise)
      ? this.#counts.growthOf(column, withoutWindows(rule))
      : null;
    const isLeak =
      growth?.answer === 'found' &&
      isLeftByClosing(growth) &&
      this.#isSettled(growth, rule) &&
      this.#keepsPace(column, growth);
    const leak = isLeak ? growth : null;
    this.#leaks.set(column, leak);
    return leak;
  }

  /** A leak of a listener count that the agent follows around opens and closes; null otherwise. */
  leakOfFollowed(
    last: Sample | null,
    count: { readonly series: Series; readonly minRise: number },
  ): Growth | null {
    const { column } = count.series;
    const cached = this.#followedLeaks.get(column);
    if (cached !== undefined) return cached;
    const leak = leakOfFollowed(this.history, last, count);
    this.#followedLeaks.set(column, leak);
    return leak;
  }

  /** Whether late removals, as of sessions, had begun before the window: else they begin in it, and look like a leak that ends. */
  #isSettled({ rise }: Growth, { maxDelayMs }: GrowthRule): boolean {
    const { nowMs, startedMs } = this.history;
    const delayMs = maxDelayMs?.(rise) ?? 0;
    return nowMs - startedMs >= COUNTS_WARM_UP_MS + delayMs + COUNTS_LONG_WINDOW_MS;
  }

  /** The cheap test: the count has risen at all, or has fallen less than the connections. */
  #rises(column: Column, minRise: number): boolean {
    const change = this.#changeOf(column);
    return !(change < minRise) || !(change - this.#changeOf('connections') < minRise);
  }

  #changeOf(column: Column): number {
    const values = this.#valuesOf(column);
    return (values.at(-1) ?? Number.NaN) - (values[0] ?? Number.NaN);
  }

  #valuesOf(column: Column): Float64Array {
    const { window, nowMs } = this.history;
    return window.column(column, window.rowAt(nowMs - COUNTS_LONG_WINDOW_MS));
  }

  #keepsPace(column: Column, { changes }: Growth): boolean {
    const perConnection = Math.max(0, changes?.addedPerOpened ?? 0);
    const connections = this.#valuesOf('connections');
    const values = this.#valuesOf(column).map(
      (value, row) => value - perConnection * (connections[row] ?? 0),
    );
    const levelAt = (sixth: number): number => {
      const from = Math.floor((sixth * values.length) / SIXTHS);
      const to = Math.floor(((sixth + 1) * values.length) / SIXTHS);
      return median(withoutMissing(values.subarray(from, to)));
    };
    const middle = (levelAt(2) + levelAt(3)) / 2;
    return levelAt(SIXTHS - 1) - middle >= MIN_PACE * (middle - levelAt(0));
  }
}

/** Sessions on a ramp grow with time and not by closing. */
const isLeftByClosing = ({ changes }: Growth): boolean => changes !== null && isCausedByClosing(changes);

/** The windows of other lengths are tested elsewhere. */
const withoutWindows = ({ minRise, perConnection, maxDelayMs }: GrowthRule): GrowthRule => ({
  minRise,
  perConnection,
  ...(maxDelayMs === undefined ? {} : { maxDelayMs }),
});
