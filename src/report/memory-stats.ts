/** Converts a memory reading into the public `MemoryStats` of `status()` and `MemoryMonitor`. */
import type { MemoryReading, MemoryStats, RegistryReading } from '../types/index.ts';

/** Sizes are bytes. `usagePercent` is the old space as a share of `capacityBytes`, 0 to 100 with one decimal. */
export function memoryStats(
  memory: MemoryReading,
  capacityBytes: number,
  registries: readonly RegistryReading[],
): MemoryStats {
  return {
    heapUsed: memory.heapUsedBytes,
    heapTotal: memory.heapTotalBytes,
    heapLimit: memory.heapLimitBytes,
    rss: memory.rssBytes,
    external: memory.externalBytes,
    arrayBuffers: memory.arrayBuffersBytes,
    mallocedMemory: memory.mallocedBytes,
    peakMallocedMemory: memory.peakMallocedBytes,
    usagePercent: capacityBytes > 0 ? Math.round((memory.oldSpaceBytes / capacityBytes) * 1000) / 10 : 0,
    registries: Object.fromEntries(registries.map(({ name, entries }) => [name, entries])),
  };
}
