import { getHeapSpaceStatistics, getHeapStatistics } from 'node:v8';
import type { MemoryReading } from '../types/index.ts';

/** Young objects come and go with the load; what stays is everywhere else. */
export const isYoung = (spaceName: string): boolean =>
  spaceName === 'new_space' || spaceName === 'new_large_object_space';

/** About 20 us. Never getHeapCodeStatistics (up to 10 ms) nor smaps_rollup (up to 24 ms). */
export function readMemory(): MemoryReading {
  const usage = process.memoryUsage();
  const heap = getHeapStatistics();
  let oldSpaceBytes = 0;
  for (const space of getHeapSpaceStatistics()) {
    if (!isYoung(space.space_name)) oldSpaceBytes += space.space_used_size;
  }
  return {
    heapUsedBytes: usage.heapUsed,
    heapTotalBytes: usage.heapTotal,
    heapLimitBytes: heap.heap_size_limit,
    oldSpaceBytes,
    rssBytes: usage.rss,
    externalBytes: usage.external,
    arrayBuffersBytes: usage.arrayBuffers,
    mallocedBytes: heap.malloced_memory,
    peakMallocedBytes: heap.peak_malloced_memory,
  };
}
