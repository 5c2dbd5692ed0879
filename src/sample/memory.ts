/** Reads the memory of this process. */
import { getHeapSpaceStatistics, getHeapStatistics, type HeapInfo } from 'node:v8';
import { memoryUsage } from '../core/primordials.ts';
import { occupyStandardDescriptors } from '../core/standard-descriptors.ts';
import type { MemoryReading } from '../types/index.ts';

/** Objects in the young spaces come and go with the load; objects that stay are in the other spaces. */
export const isYoungSpace = (spaceName: string): boolean =>
  spaceName === 'new_space' || spaceName === 'new_large_object_space';

/** Takes about 20 us. `getHeapCodeStatistics` (up to 10 ms) and smaps_rollup (up to 24 ms) are too slow here. */
export function readMemory(readUsage: () => NodeJS.MemoryUsage = memoryUsage): MemoryReading {
  const heap = getHeapStatistics();
  const usage = usageOf(heap, readUsage);
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

/**
 * libuv opens a file of /proc for the RSS. Only the numbers of V8 are available without a free descriptor (EMFILE), and where
 * that file would get one of the numbers 0 to 2.
 */
function usageOf(heap: HeapInfo, readUsage: () => NodeJS.MemoryUsage): NodeJS.MemoryUsage {
  try {
    if (occupyStandardDescriptors()) return readUsage();
  } catch {
    // EMFILE.
  }
  return {
    heapUsed: heap.used_heap_size,
    heapTotal: heap.total_heap_size,
    external: heap.external_memory,
    rss: Number.NaN,
    arrayBuffers: Number.NaN,
  };
}
