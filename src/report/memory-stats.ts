/** A reading as `status()` and `MemoryMonitor` tell it. Bytes; `usagePercent` is of the capacity that kills, 0 to 100. */

import type { MemoryReading, MemoryStats, RegistryReading } from '../types/index.ts';

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
