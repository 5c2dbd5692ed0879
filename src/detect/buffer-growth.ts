/** Decides whether containers of a census explain growth of Buffers, and whether these containers may be caches. Pure. */

import { CRITICAL_TIME_TO_LIMIT, LEAKS } from '../kinds/index.ts';
import type { Verdict } from '../types/index.ts';
import type { ContainerGrowth } from './container-growth.ts';

/** Share of the growth of Buffers, in bytes per hour, that containers must have to explain it. */
const MIN_EXPLAINED = 0.5;
/** Caches of healthy servers stop or slow down within this time (as for the post-GC heap). */
const MAX_FILLING_MS = LEAKS['heap-growth'].thresholds.veryLongSpan.value;

/** Bytes per hour, where growth of Buffers is a finding; else null. */
export function growthOfBuffers(verdicts: readonly Verdict[]): number | null {
  const verdict = verdicts.find(isBuffersFinding);
  return verdict?.evidence.find(({ name }) => name === 'wsguard_memory_growth_bytes_per_hour')?.value ?? null;
}

/** The finding about Buffers that containers may explain. Scaled time. */
export interface BuffersFinding {
  readonly bytesPerHour: number;
  /** For how long it has held. */
  readonly heldMs: number;
  readonly timeToLimitMs: number | null;
}

export const isBuffersFinding = (verdict: Verdict): boolean =>
  verdict.answer === 'found' && verdict.finding.kind === 'external-buffers';

export const explainsBuffers = (bytesPerHour: number, buffersPerHour: number | null): boolean =>
  buffersPerHour !== null && bytesPerHour >= MIN_EXPLAINED * buffersPerHour;

/** The largest of the caches that together explain the growth; null when containers that may be caches do not explain it. */
export function cacheOfBuffers(
  growths: readonly ContainerGrowth[],
  finding: BuffersFinding,
): ContainerGrowth | null {
  const caches = growths
    .filter((growth) => mayBeCache(growth, finding))
    .toSorted((a, b) => b.bytesPerHour - a.bytesPerHour);
  // A place in step with another one may have the same bytes.
  const separate = caches.filter(
    ({ row }, index) => !caches.slice(0, index).some(({ inStep }) => inStep.includes(row.name)),
  );
  const sum = separate.reduce((total, { bytesPerHour }) => total + Math.max(0, bytesPerHour), 0);
  return explainsBuffers(sum, finding.bytesPerHour) ? (caches[0] ?? null) : null;
}

/**
 * A limit in its code has no duration while the limit of memory is far. Code that removes entries at other moments must show
 * within hours that it does.
 */
function mayBeCache({ answer, row }: ContainerGrowth, { heldMs, timeToLimitMs }: BuffersFinding): boolean {
  const isFar = timeToLimitMs === null || timeToLimitMs >= CRITICAL_TIME_TO_LIMIT.value;
  if (answer === 'found' || (heldMs >= MAX_FILLING_MS && !(row.expected !== null && isFar))) return false;
  const removes = row.removal === 'code' || row.removal === 'timer';
  return row.expected !== null || answer === 'plateau' || removes;
}
