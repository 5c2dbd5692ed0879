/** Conditions of the process: limits of connections and descriptors, major GCs, the event loop. */

import { formatCount, formatDuration, formatShare } from '../core/format.ts';
import { CONDITIONS, type Threshold } from '../kinds/index.ts';
import type { Finding, Verdict } from '../types/index.ts';
import { findingOf, found, insufficientData, noFinding, type Detector } from './detector.ts';
import { MINUTE_MS } from './history.ts';
import { median, withoutMissing } from './statistics.ts';

const CONNECTION_LIMIT = 'connection-limit';
const DESCRIPTOR_LIMIT = 'descriptor-limit';
const GC_PRESSURE = 'gc-pressure';
const LOOP_LAG = 'loop-lag';
const GC_WINDOW_MS = CONDITIONS[GC_PRESSURE].window.ms;
/** The first row may be later than the start of the window. */
const MIN_GC_WINDOW_SHARE = 0.8;
const LAG_WINDOW_MS = CONDITIONS[LOOP_LAG].window.ms;
/** A snapshot or a batch job delays one window, not three. */
const LAG_WINDOWS = 3;

interface Usage {
  readonly kind: typeof CONNECTION_LIMIT | typeof DESCRIPTOR_LIMIT;
  readonly subject: 'connections' | 'descriptors';
  readonly noun: string;
  readonly metric: string;
  readonly used: number;
  readonly limit: number | null;
  /** The setting or file that has the limit. The answer names it when the limit is not known. */
  readonly limitSource: string;
}

function usageVerdict({ kind, subject, noun, metric, used, limit, limitSource }: Usage): Verdict {
  const { share, criticalShare }: Readonly<Record<'share' | 'criticalShare', Threshold>> =
    CONDITIONS[kind].thresholds;
  if (limit === null || !(limit > 0) || !Number.isFinite(used))
    return noFinding(kind, 'inconclusive', `The limit of ${noun} is not known`, { missing: limitSource });
  const usedShare = used / limit;
  const isCritical = usedShare >= criticalShare.value;
  const threshold = (isCritical ? criticalShare : share).value * limit;
  const evidence = [{ name: metric, value: used, unit: subject, threshold }];
  const title = `${formatCount(used)} of ${formatCount(limit)} ${noun} are in use (${formatShare(usedShare)})`;
  if (usedShare < share.value) return noFinding(kind, 'ok', title, { evidence });
  return found(kind, { kind, subject, severity: isCritical ? 'critical' : 'warning', title, evidence });
}

export const connectionLimit: Detector = {
  name: CONNECTION_LIMIT,
  evaluate: ({ history, maxConnections }) => [
    usageVerdict({
      kind: CONNECTION_LIMIT,
      subject: 'connections',
      noun: 'connections',
      metric: 'ws_connections_active',
      used: history.window.latest('connections'),
      limit: maxConnections ?? history.last?.connections.maxConnections ?? null,
      limitSource: 'WSGUARD_MAX_CONNECTIONS or server.maxConnections',
    }),
  ],
};

export const descriptorLimit: Detector = {
  name: DESCRIPTOR_LIMIT,
  evaluate: ({ history }) => [
    usageVerdict({
      kind: DESCRIPTOR_LIMIT,
      subject: 'descriptors',
      noun: 'file descriptors',
      metric: 'wsguard_open_descriptors',
      used: history.window.latest('descriptors'),
      limit: history.last?.descriptors?.limit ?? null,
      limitSource: 'the soft limit in /proc/self/limits',
    }),
  ],
};

export const gcPressure: Detector = {
  name: GC_PRESSURE,
  evaluate({ history: { window, nowMs } }) {
    const { perMinute: warning, criticalPerMinute: critical } = CONDITIONS[GC_PRESSURE].thresholds;
    const from = window.rowAt(nowMs - GC_WINDOW_MS);
    const times = window.times(from);
    const majorGcs = window.column('majorGcTotal', from);
    const spanMs = nowMs - (times[0] ?? nowMs);
    const perMinute = (((majorGcs.at(-1) ?? 0) - (majorGcs[0] ?? 0)) / spanMs) * MINUTE_MS;
    if (spanMs < MIN_GC_WINDOW_SHARE * GC_WINDOW_MS || !Number.isFinite(perMinute))
      return [insufficientData(GC_PRESSURE, '5 min of samples')];
    const isCritical = perMinute > critical.value;
    const evidence = [
      {
        name: 'major_gcs_per_minute',
        value: perMinute,
        unit: 'major GCs/min',
        threshold: (isCritical ? critical : warning).value,
        windowMs: GC_WINDOW_MS,
      },
    ];
    const title = `V8 ran ${perMinute.toFixed(1)} major GCs per minute in the last ${formatDuration(GC_WINDOW_MS)}`;
    if (perMinute <= warning.value) return [noFinding(GC_PRESSURE, 'ok', title, { evidence })];
    const severity = isCritical ? 'critical' : 'warning';
    return [found(GC_PRESSURE, { kind: GC_PRESSURE, subject: 'gc', severity, title, evidence })];
  },
};

export const loopLag: Detector = {
  name: LOOP_LAG,
  evaluate({ history: { window, nowMs } }) {
    const { delay } = CONDITIONS[LOOP_LAG].thresholds;
    const delays = window.column('loopP99Ms');
    const medians: number[] = [];
    for (let i = LAG_WINDOWS; i > 0; i -= 1) {
      const from = window.rowAt(nowMs - i * LAG_WINDOW_MS);
      const to = i === 1 ? window.rows : window.rowAt(nowMs - (i - 1) * LAG_WINDOW_MS);
      const valid = withoutMissing(delays.subarray(from, to));
      medians.push(valid.length < 2 ? Number.NaN : median(valid));
    }
    if (medians.some(Number.isNaN)) return [insufficientData(LOOP_LAG, '15 min of samples')];
    const lowestMs = Math.min(...medians);
    const evidence = [
      {
        name: 'wsguard_loop_delay_p99_seconds',
        value: lowestMs / 1000,
        unit: 's',
        threshold: delay.value / 1000,
        windowMs: LAG_WINDOWS * LAG_WINDOW_MS,
      },
    ];
    const title =
      `The event loop delay (p99) was ${formatDuration(lowestMs)} or more ` +
      `in each of the last ${LAG_WINDOWS} windows of ${formatDuration(LAG_WINDOW_MS)}`;
    if (lowestMs <= delay.value) return [noFinding(LOOP_LAG, 'ok', title, { evidence })];
    return [found(LOOP_LAG, { kind: LOOP_LAG, subject: 'loop', title, evidence })];
  },
};

const { silent } = CONDITIONS['blocked-loop'].thresholds;

/** The finding for a heartbeat that has been silent for so long. Null below the threshold. In real milliseconds. */
export function blockedLoop(silentMs: number): Finding | null {
  if (silentMs < silent.value) return null;
  return findingOf({
    kind: 'blocked-loop',
    severity: 'critical',
    subject: 'loop',
    title: `The event loop has not run for ${formatDuration(silentMs)}`,
    evidence: [{ name: 'time_without_heartbeat', value: silentMs, unit: 'ms', threshold: silent.value }],
  });
}
