/** Connections that are closed and still alive after two major collections. */

import { MIN_HALF } from './growth.ts';
import { minRise } from './counted.ts';
import { found, quiet, type Detector } from './detector.ts';
import { HOUR_MS, MINUTE_MS, type FloorPoint } from './history.ts';
import { sayCount } from './say.ts';

const NAME = 'retained';
const WINDOW_MS = 60 * MINUTE_MS;
const MIN_COLLECTIONS = 3;
const MIN_SPAN_MS = 8 * MINUTE_MS;
/** Of the steps from collection to collection, how many must not fall. */
const MIN_NOT_FALLING = 0.7;

export const retained: Detector = {
  name: NAME,
  look({ history, counts }) {
    const settled = history.floors.filter(
      (floor): floor is FloorPoint & { retained: number } => floor.retained !== null,
    );
    // Where majors are rare a window of time holds none; then the last few collections are the window.
    const from = Math.min(history.nowMs - WINDOW_MS, settled.at(-4)?.atMs ?? 0);
    const inWindow = settled.filter(({ atMs }) => atMs >= from);
    const first = inWindow[0];
    const last = inWindow.at(-1);
    const spanMs = (last?.atMs ?? 0) - (first?.atMs ?? 0);
    if (
      first === undefined ||
      last === undefined ||
      inWindow.length < MIN_COLLECTIONS ||
      spanMs < MIN_SPAN_MS
    )
      return [
        quiet(NAME, 'warming-up', `${inWindow.length} major collections seen so far`, {
          missing: `${MIN_COLLECTIONS} major collections over ${MIN_SPAN_MS / MINUTE_MS} min`,
        }),
      ];
    const held = inWindow.map((floor) => floor.retained);
    const least = minRise(counts);
    const rise = last.retained - first.retained;
    const closed = last.closedTotal - first.closedTotal;
    const evidence = [
      { name: 'wsguard_connections_retained', value: last.retained, unit: 'connections' },
      { name: 'risen_in_window', value: rise, unit: 'connections', threshold: least, windowMs: spanMs },
      { name: 'rise_per_hour', value: (rise / spanMs) * HOUR_MS, unit: 'connections/h' },
    ];
    const said = `${sayCount(last.retained)} closed connections outlived two major collections`;
    if (rise < least) return [quiet(NAME, 'ok', said, { evidence })];
    if (!keepsRising(held, rise))
      return [quiet(NAME, 'inconclusive', `${said}, not steadily more`, { evidence })];
    const share = closed > 0 ? `, ${Math.min(1, rise / closed).toFixed(2)} of each that closes` : '';
    return [
      found(NAME, {
        kind: 'retained-after-close',
        subject: 'closed connections',
        title: said + share,
        evidence,
      }),
    ];
  },
};

function keepsRising(held: readonly number[], rise: number): boolean {
  const steps = held.slice(1).map((value, i) => value - (held[i] ?? 0));
  const notFalling = steps.filter((step) => step >= 0).length / steps.length;
  const middle = held[Math.floor((held.length - 1) / 2)] ?? 0;
  const firstHalf = middle - (held[0] ?? 0);
  const lowestLately = Math.min(...held.slice(-2));
  return (
    notFalling >= MIN_NOT_FALLING &&
    firstHalf >= (MIN_HALF / 2) * rise &&
    rise - firstHalf >= (MIN_HALF / 2) * rise &&
    lowestLately > (held[0] ?? 0) + rise / 2
  );
}
