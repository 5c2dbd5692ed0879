/** `regressorsOf` prepares what may explain a count: the connections and the time of each row of a window. */

import {
  createDesign,
  fitCoefficients,
  hasMissing,
  mean,
  onesFor,
  relativeTo,
  residualSumOfSquares,
  standardDeviation,
  type Design,
} from './statistics.ts';

/** Below these the connections do not vary enough to explain a count. */
const MIN_VARIATION = { share: 0.01, connections: 0.5 } as const;

export interface Regressors {
  readonly times: Float64Array;
  readonly connections: Float64Array;
  readonly varies: boolean;
  /** The connections leave a straight line by more than the noise of reading. */
  readonly bends: boolean;
  /** Null where the connections do not vary, are not in the samples, or rise in a perfectly straight line. */
  readonly withConnections: Design | null;
  /** Time as the only regressor. */
  readonly alone: Design | null;
  /** Standard deviation of the connections; 1 where they do not vary. */
  readonly deviation: number;
}

export function regressorsOf(times: Float64Array, connections: Float64Array): Regressors {
  const firstMs = times[0] ?? 0;
  const spanMs = Math.max(1, (times.at(-1) ?? 0) - firstMs);
  const relativeTime = relativeTo(times, firstMs, spanMs);
  const one = onesFor(times);
  const deviation = hasMissing(connections) ? 0 : standardDeviation(connections);
  const center = mean(connections);
  const varies = deviation > Math.max(MIN_VARIATION.share * center, MIN_VARIATION.connections);
  const line = times.length < 4 ? null : createDesign([one, relativeTime]);
  const scaled = relativeTo(connections, center, deviation || 1);
  return {
    times,
    connections,
    varies,
    bends: varies && line !== null && deviationFrom(line, connections) > MIN_VARIATION.share * center,
    deviation: deviation || 1,
    alone: line,
    withConnections: varies && times.length > 4 ? createDesign([one, scaled, relativeTime]) : null,
  };
}

const deviationFrom = (line: Design, values: Float64Array): number =>
  Math.sqrt(residualSumOfSquares(line, values, fitCoefficients(line, values)) / Math.max(1, values.length));

/** Only the rows in which the column has a value. */
export function withoutGaps({ times, connections }: Regressors, values: Float64Array): Regressors {
  const isValid = (_: number, row: number): boolean => !Number.isNaN(values[row]);
  return regressorsOf(times.filter(isValid), connections.filter(isValid));
}
