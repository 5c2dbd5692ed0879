/** Conditions of memory: how full it is, and how soon it will be. They open an alert and never claim a leak. */

import type { Evidence } from '../types/index.ts';
import { found, quiet, type Detector } from './detector.ts';
import { MINUTE_MS, type History } from './history.ts';
import { formatShare, formatTimeToLimit } from '../core/format.ts';

const HELD_MS = 10 * MINUTE_MS;
const FULL = 0.85;
const FULL_AND_RISING = 0.7;
const EXHAUSTION_MS = 30 * MINUTE_MS;
/** An extrapolation is believed only where the limit is near already; a cache that fills looks the same below. */
const NEAR = 0.7;

interface Level {
  readonly name: 'heap' | 'container';
  /** The least share of the limit that was in use all through the window. */
  readonly share: number;
}

function levels({ window, last, nowMs, floors }: History): Level[] {
  const from = window.rowAt(nowMs - HELD_MS);
  const times = window.times(from);
  if (times.length < 3 || nowMs - (times[0] ?? nowMs) < 0.9 * HELD_MS || last === null) return [];
  const least = (values: Float64Array): number => values.reduce((low, value) => Math.min(low, value));
  const found: Level[] = [];
  // What a major collection would free is no fill level, so where there is a floor it caps the reading.
  const floor = floors.at(-1);
  const old = least(window.column('oldSpaceBytes', from));
  const held = floor === undefined ? old : Math.min(old, floor.bytes);
  found.push({ name: 'heap', share: held / last.limits.heapCapacityBytes });
  const limit = last.limits.containerBytes;
  if (limit !== null) {
    const own = window.column('containerUsedBytes', from);
    const used = own.some(Number.isNaN) ? window.column('rssBytes', from) : own;
    found.push({ name: 'container', share: least(used) / limit });
  }
  return found.filter(({ share }) => Number.isFinite(share));
}

export const threshold: Detector = {
  name: 'threshold',
  look({ history, trend }) {
    const all = levels(history);
    const worst = all.toSorted((a, b) => b.share - a.share)[0];
    if (worst === undefined)
      return [
        quiet('threshold', 'warming-up', 'not held long enough to tell', { missing: '10 min of samples' }),
      ];
    const evidence: Evidence[] = all.map(({ name, share }) => ({
      name: `${name}_share`,
      value: share,
      unit: '1',
      threshold: FULL,
      windowMs: HELD_MS,
    }));
    const said = `${formatShare(worst.share)} of the ${worst.name} limit held for 10 min`;
    const rising = trend !== null && trend.t > 3 && trend.riseBytes > 0;
    if (worst.share >= FULL || (worst.share >= FULL_AND_RISING && rising && worst.name === 'heap'))
      return [
        found('threshold', {
          kind: 'memory-threshold',
          subject: worst.name,
          severity: worst.share >= FULL ? 'critical' : 'warning',
          title: rising ? `${said}, and the floor rises` : said,
          evidence,
        }),
      ];
    return [quiet('threshold', 'ok', said, { evidence })];
  },
};

export const exhaustion: Detector = {
  name: 'exhaustion',
  look({ history, timeToLimit }) {
    if (timeToLimit === null)
      return [quiet('exhaustion', 'ok', 'nothing rises towards a limit fast enough to say when')];
    const evidence: Evidence[] = [
      { name: 'time_to_limit', value: timeToLimit.ms, unit: 'ms', threshold: EXHAUSTION_MS },
    ];
    const said = `the ${timeToLimit.limit} limit is reached ${formatTimeToLimit(timeToLimit)}`;
    const share = shareOf(history, timeToLimit.limit);
    const sure = timeToLimit.highMs !== null && timeToLimit.highMs < 2 * EXHAUSTION_MS;
    if (timeToLimit.ms >= EXHAUSTION_MS || !sure || share < NEAR)
      return [quiet('exhaustion', 'ok', said, { evidence })];
    return [
      found('exhaustion', {
        kind: 'exhaustion',
        subject: timeToLimit.limit,
        severity: 'critical',
        title: `T${said.slice(1)}`,
        evidence,
      }),
    ];
  },
};

function shareOf({ last, floors }: History, limit: 'heap' | 'container'): number {
  if (last === null) return 0;
  if (limit === 'heap') return (floors.at(-1)?.bytes ?? 0) / last.limits.heapCapacityBytes;
  return (last.limits.containerUsedBytes ?? last.memory.rssBytes) / (last.limits.containerBytes ?? Infinity);
}
