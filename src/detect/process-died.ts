/** What a black box says of the end of its process. Told, not guessed: the last numbers, and what rose to them. */

import type { Because, CrashRecord, Evidence, Finding, Sample } from '../types/index.ts';
import { HOUR_MS, MINUTE_MS } from './history.ts';
import { formatBytes, formatDuration, formatShare } from '../core/format.ts';

const RISE_WINDOW_MS = 30 * MINUTE_MS;
/** At such a share of a limit a sudden end explains itself. */
const NEAR = 0.85;

export interface Death {
  readonly finding: Finding;
  readonly also: readonly Because[];
}

export interface Now {
  readonly wallMs: number;
  /** The cgroup's count of OOM kills; grown since the last sample it says what happened. */
  readonly oomKills: number | null;
}

interface Pool {
  readonly name: string;
  readonly of: (sample: Sample) => number;
}

const POOLS: readonly Pool[] = [
  { name: 'old space', of: ({ memory }) => memory.oldSpaceBytes },
  { name: 'Buffers', of: ({ memory }) => Math.max(memory.externalBytes, memory.arrayBuffersBytes) },
  {
    name: 'RSS beyond heap and Buffers',
    of: ({ memory }) => memory.rssBytes - memory.heapTotalBytes - memory.externalBytes,
  },
];

/** Null for a box without a sample: a process that died before it could say anything. */
export function judgeDeath({ samples, openAlerts, owner }: CrashRecord, now: Now): Death | null {
  const last = samples.at(-1);
  if (last === undefined) return null;
  const killed = cause(last, now);
  const pool = risingPool(samples);
  const rising =
    pool === null
      ? 'nothing rose'
      : `${pool.name} rose ${formatBytes(pool.rise)} in its last ${formatDuration(pool.spanMs)}`;
  const finding: Finding = {
    kind: 'process-died',
    family: 'condition',
    severity: killed.isAtLimit ? 'critical' : 'warning',
    subject: 'process',
    title: `The process before (pid ${owner.identity.pid}) ${killed.said}; ${rising}`,
    evidence: evidenceOf(last, { rise: pool?.rise ?? 0, spanMs: pool?.spanMs ?? 0, now }),
    against: [],
  };
  return {
    finding,
    also: openAlerts.map(({ kind, title }) => ({ kind, because: `open when it died: ${title}` })),
  };
}

const heapShare = ({ memory, limits }: Sample): number => memory.oldSpaceBytes / limits.heapCapacityBytes;
const containerShare = ({ memory, limits }: Sample): number =>
  limits.containerBytes === null
    ? Number.NaN
    : (limits.containerUsedBytes ?? memory.rssBytes) / limits.containerBytes;

interface Cause {
  readonly said: string;
  readonly isAtLimit: boolean;
}

function cause(last: Sample, { oomKills }: Now): Cause {
  const atLimit = (said: string): Cause => ({ said, isAtLimit: true });
  const before = last.limits.containerOomKills;
  if (oomKills !== null && before !== null && oomKills > before)
    return atLimit('was killed by the container’s OOM killer');
  if (containerShare(last) >= NEAR)
    return atLimit(`ended at ${formatShare(containerShare(last))} of its container’s memory`);
  if (heapShare(last) >= NEAR)
    return atLimit(`ended with its heap at ${formatShare(heapShare(last))} of what kills it`);
  // A SIGTERM that nobody listens for ends a process just as silently: a deployment looks like this.
  return {
    said: 'ended without a word (SIGTERM without a handler, SIGKILL, a crash, or the machine)',
    isAtLimit: false,
  };
}

function risingPool(samples: readonly Sample[]): { name: string; rise: number; spanMs: number } | null {
  const last = samples.at(-1);
  const first = last && samples.find(({ wallMs }) => wallMs >= last.wallMs - RISE_WINDOW_MS);
  if (last === undefined || first === undefined || first === last) return null;
  const spanMs = last.wallMs - first.wallMs;
  const rises = POOLS.map(({ name, of }) => ({ name, rise: of(last) - of(first), spanMs }));
  const most = rises.toSorted((a, b) => b.rise - a.rise)[0];
  return most !== undefined && most.rise > 0 ? most : null;
}

interface Rise {
  readonly rise: number;
  readonly spanMs: number;
  readonly now: Now;
}

function evidenceOf(last: Sample, { rise, spanMs, now }: Rise): Evidence[] {
  const { memory, connections } = last;
  const active = Object.values(connections.active).reduce((sum, count) => sum + count, 0);
  const all: Evidence[] = [
    { name: 'heap_share_at_the_end', value: heapShare(last), unit: '1', threshold: NEAR },
    { name: 'container_share_at_the_end', value: containerShare(last), unit: '1', threshold: NEAR },
    { name: 'rss_at_the_end', value: memory.rssBytes, unit: 'By' },
    { name: 'rising_pool', value: rise, unit: 'By', windowMs: spanMs },
    { name: 'rising_pool_per_hour', value: spanMs > 0 ? (rise / spanMs) * HOUR_MS : 0, unit: 'By/h' },
    { name: 'connections_at_the_end', value: active, unit: 'connections' },
    { name: 'unanswering_at_the_end', value: connections.unanswering, unit: 'connections' },
    { name: 'uptime_at_the_end', value: last.uptimeMs, unit: 'ms' },
    { name: 'since_the_last_sample', value: Math.max(0, now.wallMs - last.wallMs), unit: 'ms' },
  ];
  return all.filter(({ value }) => Number.isFinite(value));
}
