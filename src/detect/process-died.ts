/** `findProcessDeath`: what the crash record of the previous process says about its end. */

import { formatBytes, formatDuration, formatShare } from '../core/format.ts';
import { CONDITIONS } from '../kinds/index.ts';
import type { Because, CrashRecord, Evidence, Finding, MemoryPoint, Sample } from '../types/index.ts';
import { findingOf } from './detector.ts';
import { HOUR_MS, MINUTE_MS } from './history.ts';

const RISE_WINDOW_MS = 30 * MINUTE_MS;
const LIMIT_SHARE = CONDITIONS['process-died'].thresholds.limitShare.value;

export interface ProcessDeath {
  readonly finding: Finding;
  /** Alerts that were open when the process died. */
  readonly also: readonly Because[];
}

export interface Now {
  readonly wallMs: number;
  /** OOM kills that the cgroup has counted. More than in the last sample: the kernel killed the process. */
  readonly oomKills: number | null;
}

interface Pool<T> {
  readonly name: string;
  readonly bytesOf: (reading: T) => number;
}

const POOLS: readonly Pool<Sample>[] = [
  { name: 'old space', bytesOf: ({ memory }) => memory.oldSpaceBytes },
  {
    name: 'memory of Buffers',
    bytesOf: ({ memory }) => Math.max(memory.externalBytes, memory.arrayBuffersBytes),
  },
  {
    name: 'RSS beyond the heap and Buffers',
    bytesOf: ({ memory }) => memory.rssBytes - memory.heapTotalBytes - memory.externalBytes,
  },
];

const POOLS_OF_LAST_MINUTE: readonly Pool<MemoryPoint>[] = [
  { name: 'heap', bytesOf: ({ heapUsedBytes }) => heapUsedBytes },
  { name: 'memory of Buffers', bytesOf: ({ externalBytes }) => externalBytes },
  {
    name: 'RSS beyond the heap and Buffers',
    bytesOf: ({ rssBytes, heapUsedBytes, externalBytes }) => rssBytes - heapUsedBytes - externalBytes,
  },
];

/** Null for a crash record without a sample: that process died before its first one. */
export function findProcessDeath(
  { samples, lastMinute, openAlerts, owner }: CrashRecord,
  now: Now,
): ProcessDeath | null {
  const lastSample = samples.at(-1);
  if (lastSample === undefined) return null;
  const last = { ...lastSample, ...withPoint(lastSample, lastMinute.at(-1)) };
  const cause = causeOf(last, now);
  const pool = fasterGrowth(fastestPool(samples, POOLS), growthInLastMinute(lastMinute));
  const growth =
    pool === null
      ? 'its memory did not grow'
      : `its ${pool.name} rose ${formatBytes(pool.riseBytes)} in the last ${formatDuration(pool.spanMs)}${pool.note ?? ''}`;
  const pressureShare = lastMinute.at(-1)?.pressureShare ?? null;
  const finding = findingOf({
    kind: 'process-died',
    severity: cause.isAtLimit ? 'critical' : 'warning',
    subject: 'process',
    title: `The previous process (pid ${owner.identity.pid}) ${cause.text}; ${growth}`,
    evidence: [
      ...evidenceOf(last, pool ?? { riseBytes: 0, spanMs: 0 }, now),
      ...(pressureShare === null ? [] : [{ name: 'memory_pressure', value: pressureShare, unit: '1' }]),
    ],
  });
  return {
    finding,
    also: openAlerts.map(({ kind, title }) => ({ kind, because: `open when the process died: ${title}` })),
  };
}

/** The memory at the last point of the last minute, which is newer than the last sample. */
function withPoint(
  last: Sample,
  point: MemoryPoint | undefined,
): Pick<Sample, 'wallMs' | 'memory' | 'limits'> {
  const { wallMs, memory, limits } = last;
  if (point === undefined || point.wallMs <= wallMs) return { wallMs, memory, limits };
  const { rssBytes, heapUsedBytes, externalBytes, containerUsedBytes } = point;
  // Objects that fill the heap at once are in old space before the process dies.
  const oldSpaceBytes = Math.max(memory.oldSpaceBytes, heapUsedBytes - youngBytes(memory));
  return {
    wallMs: point.wallMs,
    memory: { ...memory, rssBytes, heapUsedBytes, externalBytes, oldSpaceBytes },
    limits: { ...limits, containerUsedBytes: containerUsedBytes ?? limits.containerUsedBytes },
  };
}

const youngBytes = ({ heapUsedBytes, oldSpaceBytes }: Sample['memory']): number =>
  Math.max(0, heapUsedBytes - oldSpaceBytes);

const heapShare = ({ memory, limits }: Sample): number => memory.oldSpaceBytes / limits.heapCapacityBytes;
const containerShare = ({ memory, limits }: Sample): number =>
  limits.containerBytes === null
    ? Number.NaN
    : (limits.containerUsedBytes ?? memory.rssBytes) / limits.containerBytes;

interface Cause {
  readonly text: string;
  readonly isAtLimit: boolean;
}

function causeOf(last: Sample, { oomKills }: Now): Cause {
  const atLimit = (text: string): Cause => ({ text, isAtLimit: true });
  const killsBefore = last.limits.containerOomKills;
  if (oomKills !== null && killsBefore !== null && oomKills > killsBefore)
    return atLimit('was killed by the OOM killer of its container');
  if (containerShare(last) >= LIMIT_SHARE)
    return atLimit(`ended with ${formatShare(containerShare(last))} of its container limit in use`);
  if (heapShare(last) >= LIMIT_SHARE)
    return atLimit(`ended with ${formatShare(heapShare(last))} of its heap capacity in use`);
  // A SIGTERM without a handler ends a process just as silently, so a deployment can look like this.
  return {
    text: 'ended without a shutdown (SIGTERM without a handler, SIGKILL, a crash, or the machine)',
    isAtLimit: false,
  };
}

interface PoolGrowth {
  readonly riseBytes: number;
  readonly spanMs: number;
}

type NamedGrowth = PoolGrowth & { readonly name: string; readonly note?: string };

/** The larger rise says more about the death. Of two equal ones the shorter one does. */
const fasterGrowth = (inSamples: NamedGrowth | null, inLastMinute: NamedGrowth | null): NamedGrowth | null =>
  (inLastMinute?.riseBytes ?? 0) >= (inSamples?.riseBytes ?? 0) ? inLastMinute : inSamples;

/**
 * The points after the last heartbeat repeat its heap. A thread that fills its heap without a pause sends none, and the memory
 * that comes then would count as RSS beyond the heap.
 */
function growthInLastMinute(points: readonly MemoryPoint[]): NamedGrowth | null {
  const readAt = Math.max(
    0,
    points.findLastIndex((point, index) => index > 0 && isNewReading(point, points[index - 1]!)),
  );
  const inPools = fastestPool(points.slice(0, readAt + 1), POOLS_OF_LAST_MINUTE);
  const unread = fastestPool(points.slice(readAt), [{ name: 'RSS', bytesOf: ({ rssBytes }) => rssBytes }]);
  return unread === null || unread.riseBytes <= (inPools?.riseBytes ?? 0)
    ? inPools
    : { ...unread, note: ', after the last heartbeat of its application thread' };
}

const isNewReading = (point: MemoryPoint, before: MemoryPoint): boolean =>
  point.heapUsedBytes !== before.heapUsedBytes || point.externalBytes !== before.externalBytes;

function fastestPool<T extends { readonly wallMs: number }>(
  readings: readonly T[],
  pools: readonly Pool<T>[],
): NamedGrowth | null {
  const last = readings.at(-1);
  const first = last && readings.find(({ wallMs }) => wallMs >= last.wallMs - RISE_WINDOW_MS);
  if (last === undefined || first === undefined || first === last) return null;
  const spanMs = last.wallMs - first.wallMs;
  const growths = pools.map(({ name, bytesOf }) => ({
    name,
    riseBytes: bytesOf(last) - bytesOf(first),
    spanMs,
  }));
  const fastest = growths.toSorted((a, b) => b.riseBytes - a.riseBytes)[0];
  return fastest !== undefined && fastest.riseBytes > 0 ? fastest : null;
}

/** Numbers of the last sample. */
function evidenceOf(last: Sample, { riseBytes, spanMs }: PoolGrowth, now: Now): Evidence[] {
  const { memory, connections } = last;
  const active = Object.values(connections.active).reduce((sum, count) => sum + count, 0);
  const all: Evidence[] = [
    { name: 'heap_limit_used_share', value: heapShare(last), unit: '1', threshold: LIMIT_SHARE },
    { name: 'container_limit_used_share', value: containerShare(last), unit: '1', threshold: LIMIT_SHARE },
    { name: 'wsguard_rss_bytes', value: memory.rssBytes, unit: 'By' },
    { name: 'rise_in_window', value: riseBytes, unit: 'By', windowMs: spanMs },
    {
      name: 'wsguard_memory_growth_bytes_per_hour',
      value: spanMs > 0 ? (riseBytes / spanMs) * HOUR_MS : 0,
      unit: 'By/h',
    },
    { name: 'ws_connections_active', value: active, unit: 'connections' },
    { name: 'wsguard_connections_unanswering', value: connections.unanswering, unit: 'connections' },
    { name: 'uptime', value: last.uptimeMs, unit: 'ms' },
    { name: 'time_since_last_sample', value: Math.max(0, now.wallMs - last.wallMs), unit: 'ms' },
  ];
  return all.filter(({ value }) => Number.isFinite(value));
}
