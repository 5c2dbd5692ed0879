/** `findProcessDeath`: what the crash record of the previous process says about its end. */

import { formatBytes, formatDuration, formatShare } from '../core/format.ts';
import { CONDITIONS } from '../kinds/index.ts';
import type { Because, CrashRecord, Evidence, Finding, Sample } from '../types/index.ts';
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

interface Pool {
  readonly name: string;
  readonly bytesOf: (sample: Sample) => number;
}

const POOLS: readonly Pool[] = [
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

/** Null for a crash record without a sample: that process died before its first one. */
export function findProcessDeath({ samples, openAlerts, owner }: CrashRecord, now: Now): ProcessDeath | null {
  const last = samples.at(-1);
  if (last === undefined) return null;
  const cause = causeOf(last, now);
  const pool = fastestPool(samples);
  const growth =
    pool === null
      ? 'its memory did not grow'
      : `its ${pool.name} rose ${formatBytes(pool.riseBytes)} in the last ${formatDuration(pool.spanMs)}`;
  const finding = findingOf({
    kind: 'process-died',
    severity: cause.isAtLimit ? 'critical' : 'warning',
    subject: 'process',
    title: `The previous process (pid ${owner.identity.pid}) ${cause.text}; ${growth}`,
    evidence: evidenceOf(last, pool ?? { riseBytes: 0, spanMs: 0 }, now),
  });
  return {
    finding,
    also: openAlerts.map(({ kind, title }) => ({ kind, because: `open when the process died: ${title}` })),
  };
}

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

function fastestPool(samples: readonly Sample[]): (PoolGrowth & { readonly name: string }) | null {
  const last = samples.at(-1);
  const first = last && samples.find(({ wallMs }) => wallMs >= last.wallMs - RISE_WINDOW_MS);
  if (last === undefined || first === undefined || first === last) return null;
  const spanMs = last.wallMs - first.wallMs;
  const growths = POOLS.map(({ name, bytesOf }) => ({
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
