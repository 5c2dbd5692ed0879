/** Physical memory that the machine has left. The container's memory and CPU limits are read by `core/cgroup`. */

import { freemem } from 'node:os';
import { readTextFile, type ReadFile } from '../core/cgroup.ts';

/** Physical memory that is available without swapping, file cache included. */
export function availableBytes(readFile: ReadFile = readTextFile): number {
  const kib = /^MemAvailable:\s+(\d+)/m.exec(readFile('/proc/meminfo') ?? '')?.[1];
  return kib === undefined ? freemem() : Number(kib) * 1024;
}
