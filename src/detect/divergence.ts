/** Memory climbs while the connections that answer stay flat; for when collections are too few for the floor. */

import { found, quiet, type Detector } from './detector.ts';
import { floorTrend } from './post-gc-heap.ts';
import { isSlowing } from './heap-growth.ts';
import { MINUTE_MS } from './history.ts';
import { formatBytes, formatDuration } from '../core/format.ts';

const NAME = 'divergence';
const MIN_FLOORS = 3;
const MIN_SPAN_MS = 50 * MINUTE_MS;
/** Of capacity; between two neighbouring floors no healthy server of the corpus moved so much at flat load. */
const MIN_RISE = 0.08;
const FLAT = 0.1;

export const divergence: Detector = {
  name: NAME,
  look({ history, trend: whole }) {
    const floors = whole?.floors ?? [];
    const flat = sinceFlat(floors.map(({ answering }) => answering));
    const used = floors.slice(flat);
    const trend = flat === 0 ? whole : floorTrend(used);
    const capacity = history.last?.limits.heapCapacityBytes ?? Number.NaN;
    if (trend === null || used.length < MIN_FLOORS || trend.spanMs < MIN_SPAN_MS)
      return [
        quiet(NAME, 'warming-up', `${used.length} major collections at a steady number of connections`, {
          missing: `${MIN_FLOORS} of them over ${MIN_SPAN_MS / MINUTE_MS} min`,
        }),
      ];
    const rise = trend.lastBytes - (used[0]?.bytes ?? 0);
    const evidence = [
      {
        name: 'risen_in_window',
        value: rise,
        unit: 'By',
        threshold: MIN_RISE * capacity,
        windowMs: trend.spanMs,
      },
      { name: 'connections_answering', value: used.at(-1)?.answering ?? 0, unit: 'connections' },
    ];
    const said = `memory rose ${formatBytes(rise)} in ${formatDuration(trend.spanMs)} while connections stayed flat`;
    const steady = used.every((floor, i) => i === 0 || floor.bytes > (used[i - 1]?.bytes ?? 0));
    if (!(rise >= MIN_RISE * capacity)) return [quiet(NAME, 'ok', said, { evidence })];
    if (!steady || isSlowing(trend)) return [quiet(NAME, 'plateau', `${said}, not steadily`, { evidence })];
    return [found(NAME, { kind: 'divergence', subject: 'memory', title: said, evidence })];
  },
};

/** The first index from which on all values stay within a tenth of the last one. */
function sinceFlat(values: readonly number[]): number {
  const now = values.at(-1) ?? Number.NaN;
  let from = values.length;
  while (from > 0 && Math.abs((values[from - 1] ?? Number.NaN) - now) <= FLAT * Math.max(now, 1)) from -= 1;
  return from;
}
