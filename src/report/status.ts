/** Builds the public `Status`: in the watcher normally, on the application thread when the watcher does not reply. */
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

export interface StatusInput {
  readonly watcher: Status['watcher'];
  readonly identity: Identity;
  readonly uptimeMs: number;
  readonly sample: Sample | null;
  readonly verdicts: readonly Verdict[];
  readonly alerts: readonly Alert[];
  readonly timeToLimit: TimeToLimit | null;
  readonly blind: readonly Blind[];
  /** Why the agent runs without a watcher thread; null when it has one. */
  readonly noThreadReason: string | null;
}

const NO_CONNECTIONS = { websocket: 0, sse: 0, polling: 0, upgraded: 0 };

export function composeStatus(input: StatusInput): Status {
  const connections = input.sample?.connections;
  const byTransport = connections?.active ?? NO_CONNECTIONS;
  return {
    watcher: input.watcher,
    service: input.identity.service,
    instance: input.identity.instance,
    uptimeMs: input.uptimeMs,
    connections: {
      active: Object.values(byTransport).reduce((sum, count) => sum + count, 0),
      unanswering: connections?.unanswering ?? 0,
      unaskable: connections?.unaskable ?? 0,
      retained: connections?.retained ?? null,
      byTransport,
      ...(connections?.ids === undefined ? {} : { ids: connections.ids }),
    },
    memory: memoryOf(input.sample),
    timeToLimit: input.timeToLimit,
    verdicts: input.verdicts.map(statusVerdict),
    alerts: input.alerts,
    blind: [...(input.sample?.blind ?? input.blind), ...noThreadBlindSpots(input.noThreadReason)],
  };
}

/** Without a watcher thread the agent is blocked together with the application and cannot report it. */
export const noThreadBlindSpots = (noThreadReason: string | null): Blind[] =>
  noThreadReason === null ? [] : [{ what: 'a blocked loop', why: `no watcher thread: ${noThreadReason}` }];

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

const memoryOf = (sample: Sample | null): MemoryStats =>
  sample === null
    ? NO_MEMORY
    : memoryStats(sample.memory, sample.limits.heapCapacityBytes, sample.registries);

function statusVerdict(verdict: Verdict): StatusVerdict {
  const { detector, answer, evidence } = verdict;
  if (verdict.answer === 'found') return { detector, answer, evidence, because: verdict.finding.title };
  const missing = verdict.missing === undefined ? {} : { missing: verdict.missing };
  return { detector, answer, evidence, because: verdict.because, ...missing };
}
