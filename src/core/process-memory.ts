/** Reads the memory of this process, also where the operating system does not tell its RSS. */
import { getHeapStatistics, type HeapInfo } from 'node:v8';
import { memoryUsage } from './primordials.ts';
import { occupyStandardDescriptors } from './standard-descriptors.ts';

/**
 * libuv opens a file of /proc for the RSS. Only the numbers of V8 are available without a free descriptor (EMFILE), without
 * /proc, and where that file would get one of the numbers 0 to 2. The others are NaN then.
 */
export function processMemory(
  heap: HeapInfo = getHeapStatistics(),
  readUsage: () => NodeJS.MemoryUsage = memoryUsage,
): NodeJS.MemoryUsage {
  try {
    if (occupyStandardDescriptors()) return readUsage();
  } catch {
    // EMFILE, or ENOENT without /proc.
  }
  return {
    heapUsed: heap.used_heap_size,
    heapTotal: heap.total_heap_size,
    external: heap.external_memory,
    rss: Number.NaN,
    arrayBuffers: Number.NaN,
  };
}
