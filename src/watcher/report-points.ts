/** The points of the charts of a report. */
import type { ByTransport, CrashRecord, MemoryPoint, ReportPoint, Sample } from '../types/index.ts';

export const reportPoint = (
  { wallMs, memory, connections }: Sample,
  postGcHeapBytes: number | null,
): ReportPoint => ({
  wallMs,
  heapUsedBytes: memory.heapUsedBytes,
  floorBytes: postGcHeapBytes,
  rssBytes: memory.rssBytes,
  externalBytes: memory.externalBytes,
  connections: sumOverTransports(connections.active),
  unanswering: connections.unanswering,
  opened: sumOverTransports(connections.openedTotal),
  closed: sumOverTransports(connections.closedTotal),
});

/** The last hour of the process that died, and then its last minute. */
export function crashPoints({ samples, lastMinute }: CrashRecord): ReportPoint[] {
  let postGcHeapBytes: number | null = null;
  const points = samples.map((sample) => {
    postGcHeapBytes = sample.gc.floor?.bytes ?? postGcHeapBytes;
    return reportPoint(sample, postGcHeapBytes);
  });
  const last = points.at(-1);
  if (last === undefined) return [];
  const newer = lastMinute.filter(({ wallMs }) => wallMs > last.wallMs);
  return [...points, ...newer.map((point) => afterLastSample(last, point))];
}

/** Connections are counted with the samples only. */
const afterLastSample = (
  last: ReportPoint,
  { wallMs, heapUsedBytes, rssBytes, externalBytes }: MemoryPoint,
): ReportPoint => ({ ...last, wallMs, heapUsedBytes, rssBytes, externalBytes });

const sumOverTransports = (counts: ByTransport): number =>
  Object.values(counts).reduce((sum, count) => sum + count, 0);
