/** Windows and thresholds that several leak kinds share. */

import {
  fromPage,
  fromTraces,
  HOUR_MS,
  MINUTE_MS,
  simulated,
  type DetectionWindow,
  type Threshold,
} from './spec.ts';

/** A process that has just started fills its pools, caches and rooms. */
export const COUNTS_WARM_UP_MS = 6 * MINUTE_MS;
/** A leak that matters shows within this time; a step or a finished warm-up has left the window. */
export const COUNTS_WINDOW_MS = 30 * MINUTE_MS;
/** For growth that half an hour does not make certain. The rows of a history reach back for an hour. */
export const COUNTS_SLOW_WINDOW_MS = 54 * MINUTE_MS;
/**
 * For leaks of a few connections in a hundred: with 36 leaked entries the leak is 6 standard errors above zero, and one
 * closed connection in ten, at 3 per minute, leaves those in two hours.
 */
export const COUNTS_LONG_WINDOW_MS = 120 * MINUTE_MS;
/** Shorter spans gave wrong verdicts on the example traces. */
export const COUNTS_MIN_SPAN_MS = 8 * MINUTE_MS;

const minutes = (ms: number): string => `${ms / MINUTE_MS} min`;

export const COUNTS_WINDOW: DetectionWindow = {
  ms: COUNTS_WINDOW_MS,
  text:
    `The window is ${minutes(COUNTS_WINDOW_MS)}, after a warm-up of ${minutes(COUNTS_WARM_UP_MS)}. ` +
    `The first verdict is possible ${minutes(COUNTS_WARM_UP_MS + COUNTS_MIN_SPAN_MS)} after the start.`,
};

export const least = (
  label: string,
  value: number,
  unit: string,
  more: Pick<Threshold, 'source'> & Partial<Threshold>,
): Threshold => ({ label, is: 'at least', value, unit, severity: 'warning', ...more });

/** Any leak is critical when a limit is this near. */
export const CRITICAL_TIME_TO_LIMIT = least('time to the limit', 4 * HOUR_MS, 'ms', {
  is: 'less than',
  severity: 'critical',
  source: fromPage('docs/detection.md: four hours are enough to plan a restart in daylight'),
});

/** For memory outside the heap: how long it has grown. */
export const GROWTH_OUTSIDE_HEAP = {
  shareOfTimeToLimit: least('duration of the growth as a share of the time to the limit', 0.125, '%', {
    group: 'near or long',
    source: simulated('caches of Buffers that fill, and malloc in its first hour, grow like a leak'),
  }),
  longDuration: least('or duration of the growth', 80 * MINUTE_MS, 'ms', {
    group: 'near or long',
    source: fromTraces('a recorded leak of Buffers that lasts for 100 min is found with 80'),
  }),
} as const;

export const COUNTS_TREND = least('standard errors of the trend above 0', 6, '1', {
  is: 'more than',
  source: fromTraces('no healthy count of the example traces reached 6; OLS with Newey-West errors, 4 lags'),
});

/** The smallest rise of a count that opens an alert, by number and by share of the connections. */
export const RISE = {
  rise: least('rise in the window beyond what the connections explain', 10, '1', {
    source: fromPage('docs/detection.md: fewer than 10 entries do not justify an alert'),
  }),
  riseShare: least('the same rise as a share of the mean number of connections', 0.08, '%', {
    source: fromTraces('healthy registries of the example traces stayed below 8 %'),
  }),
} as const;

/** Fewer leaked entries per closed connection are no finding, for listeners and for collections. */
export const LEAKED_PER_CLOSED = least('leaked listeners per closed connection', 0.05, '1', {
  group: 'ratio',
  source: fromTraces('no listeners of a healthy recording reach it with 6 standard errors'),
});
