/** `status()`, from what is known: by the watcher normally, by the application's thread where that stays silent. */
import { memoryStats } from './memory-stats.ts';
import type {
  Alert,
  Blind,
  Identity,
  MemoryStats,
  Sample,
  Status,
  StatusVerdict,
  TimeToLimit,
  Verdict,
} from '../types/index.ts';

export interface Known {
  readonly watcher: Status['watcher'];
  readonly identity: Identity;
  readonly uptimeMs: number;
  readonly sample: Sample | null;
  readonly verdicts: readonly Verdict[];
  readonly alerts: readonly Alert[];
  readonly timeToLimit: TimeToLimit | null;
  readonly blind: readonly Blind[];
  /** Why the agent has no thread of its own; null where it has one. */
  readonly threadless: string | null;
}

const NO_CONNECTIONS = { websocket: 0, sse: 0, polling: 0, upgraded: 0 };

export function composeStatus(known: Known): Status {
  const connections = known.sample?.connections;
  const byTransport = connections?.active ?? NO_CONNECTIONS;
  return {
    watcher: known.watcher,
    service: known.identity.service,
    instance: known.identity.instance,
    uptimeMs: known.uptimeMs,
    connections: {
      active: Object.values(byTransport).reduce((sum, count) => sum + count, 0),
      unanswering: connections?.unanswering ?? 0,
      unaskable: connections?.unaskable ?? 0,
      retained: connections?.retained ?? null,
      byTransport,
    },
    memory: statsOf(known.sample),
    timeToLimit: known.timeToLimit,
    verdicts: known.verdicts.map(statusVerdict),
    alerts: known.alerts,
    blind: [...(known.sample?.blind ?? known.blind), ...noThread(known.threadless)],
  };
}

/** What cannot be seen from the thread that is watched. */
export const noThread = (threadless: string | null): Blind[] =>
  threadless === null ? [] : [{ what: 'a blocked loop', why: `no thread of our own, ${threadless}` }];

const NO_MEMORY: MemoryStats = {
  heapUsed: 0,
  heapTotal: 0,
  heapLimit: 0,
  rss: 0,
  external: 0,
  arrayBuffers: 0,
  mallocedMemory: 0,
  peakMallocedMemory: 0,
  usagePercent: 0,
  registries: {},
};

const statsOf = (sample: Sample | null): MemoryStats =>
  sample === null
    ? NO_MEMORY
    : memoryStats(sample.memory, sample.limits.heapCapacityBytes, sample.registries);

function statusVerdict(verdict: Verdict): StatusVerdict {
  const { detector, answer, evidence } = verdict;
  if (verdict.answer === 'found') return { detector, answer, evidence, because: verdict.finding.title };
  const missing = verdict.missing === undefined ? {} : { missing: verdict.missing };
  return { detector, answer, evidence, because: verdict.because, ...missing };
}
