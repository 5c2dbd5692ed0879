/** Reads the memory of this process. */
import { getHeapSpaceStatistics, getHeapStatistics } from 'node:v8';
import { processMemory } from '../core/process-memory.ts';
import type { MemoryReading } from '../types/index.ts';

/** Objects in the young spaces come and go with the load; objects that stay are in the other spaces. */
export const isYoungSpace = (spaceName: string): boolean =>
  spaceName === 'new_space' || spaceName === 'new_large_object_space';

/** Takes about 20 us. `getHeapCodeStatistics` (up to 10 ms) and smaps_rollup (up to 24 ms) are too slow here. */
export function readMemory(readUsage?: () => NodeJS.MemoryUsage): MemoryReading {
  const heap = getHeapStatistics();
  const usage = processMemory(heap, readUsage);
  let oldSpaceBytes = 0;
  for (const space of getHeapSpaceStatistics()) {
    if (!isYoungSpace(space.space_name)) oldSpaceBytes += space.space_used_size;
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
