/** Conditions of the process: limits on connections and descriptors, collections, the event loop. */

import type { ConditionKind, Verdict } from '../types/index.ts';
import { found, quiet, type Detector } from './detector.ts';
import { MINUTE_MS, type History } from './history.ts';
import { formatCount, formatShare } from '../core/format.ts';
import { median } from './stats.ts';

const LIMIT_WARNING = 0.8;
const LIMIT_CRITICAL = 0.95;
const GC_WINDOW_MS = 5 * MINUTE_MS;
const GC_WARNING_PER_MINUTE = 10;
const GC_CRITICAL_PER_MINUTE = 30;
const LAG_MS = 500;
const LAG_WINDOW_MS = 5 * MINUTE_MS;
const LAG_WINDOWS = 3;

interface Used {
  readonly detector: string;
  readonly kind: ConditionKind;
  readonly noun: string;
  readonly used: number;
  readonly limit: number | null;
}

function nearLimit({ detector, kind, noun, used, limit }: Used): Verdict {
  if (limit === null || !(limit > 0) || !Number.isFinite(used))
    return quiet(detector, 'inconclusive', `no limit of ${noun} is known`, { missing: `a limit of ${noun}` });
  const share = used / limit;
  const evidence = [{ name: noun, value: used, unit: noun, threshold: LIMIT_WARNING * limit }];
  const title = `${formatCount(used)} of ${formatCount(limit)} ${noun} in use (${formatShare(share)})`;
  if (share < LIMIT_WARNING) return quiet(detector, 'ok', title, { evidence });
  const severity = share >= LIMIT_CRITICAL ? 'critical' : 'warning';
  return found(detector, { kind, subject: noun, severity, title, evidence });
}

const latest = ({ window }: History, key: string): number => window.column(key).at(-1) ?? Number.NaN;

export const connectionLimit: Detector = {
  name: 'connection-limit',
  look: ({ history, maxConnections }) => [
    nearLimit({
      detector: 'connection-limit',
      kind: 'connection-limit',
      noun: 'connections',
      used: latest(history, 'connections'),
      limit: maxConnections ?? history.last?.connections.maxConnections ?? null,
    }),
  ],
};

export const descriptorLimit: Detector = {
  name: 'descriptor-limit',
  look: ({ history }) => [
    nearLimit({
      detector: 'descriptor-limit',
      kind: 'descriptor-limit',
      noun: 'descriptors',
      used: latest(history, 'descriptors'),
      limit: history.last?.descriptors?.limit ?? null,
    }),
  ],
};

export const gcPressure: Detector = {
  name: 'gc-pressure',
  look({ history: { window, nowMs } }) {
    const from = window.rowAt(nowMs - GC_WINDOW_MS);
    const times = window.times(from);
    const majors = window.column('majorTotal', from);
    const spanMs = nowMs - (times[0] ?? nowMs);
    const perMinute = (((majors.at(-1) ?? 0) - (majors[0] ?? 0)) / spanMs) * MINUTE_MS;
    if (spanMs < 0.8 * GC_WINDOW_MS || !Number.isFinite(perMinute))
      return [quiet('gc-pressure', 'warming-up', 'too few samples', { missing: '5 min of samples' })];
    const evidence = [
      {
        name: 'major_collections_per_minute',
        value: perMinute,
        unit: 'collections/min',
        threshold: GC_WARNING_PER_MINUTE,
        windowMs: GC_WINDOW_MS,
      },
    ];
    const title = `${perMinute.toFixed(1)} major collections a minute over 5 min`;
    if (perMinute <= GC_WARNING_PER_MINUTE) return [quiet('gc-pressure', 'ok', title, { evidence })];
    const severity = perMinute > GC_CRITICAL_PER_MINUTE ? 'critical' : 'warning';
    return [found('gc-pressure', { kind: 'gc-pressure', subject: 'gc', severity, title, evidence })];
  },
};

export const loopLag: Detector = {
  name: 'loop-lag',
  look({ history: { window, nowMs } }) {
    const times = window.times();
    const delays = window.column('loopP99Ms');
    const windows: number[] = [];
    for (let i = LAG_WINDOWS; i > 0; i -= 1) {
      const from = window.rowAt(nowMs - i * LAG_WINDOW_MS);
      const to = i === 1 ? times.length : window.rowAt(nowMs - (i - 1) * LAG_WINDOW_MS);
      const known = delays.subarray(from, to).filter((ms) => !Number.isNaN(ms));
      windows.push(known.length < 2 ? Number.NaN : median(known));
    }
    if (windows.some(Number.isNaN))
      return [quiet('loop-lag', 'warming-up', 'too few samples', { missing: '15 min of samples' })];
    const least = Math.min(...windows);
    const evidence = [
      {
        name: 'wsguard_loop_delay_p99',
        value: least,
        unit: 'ms',
        threshold: LAG_MS,
        windowMs: LAG_WINDOWS * LAG_WINDOW_MS,
      },
    ];
    const title = `the event loop is ${formatCount(least)} ms late (p99) for ${LAG_WINDOWS} windows of 5 min`;
    if (least <= LAG_MS) return [quiet('loop-lag', 'ok', title, { evidence })];
    return [found('loop-lag', { kind: 'loop-lag', subject: 'loop', title: `T${title.slice(1)}`, evidence })];
  },
};
