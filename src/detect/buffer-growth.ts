/** Growth of Buffers and the containers that keep them: which of these explain it, and may they be caches? Pure. */

import { LEAKS } from '../kinds/index.ts';
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

export const isBuffersFinding = (verdict: Verdict): boolean =>
  verdict.answer === 'found' && verdict.finding.kind === 'external-buffers';

export const explainsBuffers = (bytesPerHour: number, buffersPerHour: number | null): boolean =>
  buffersPerHour !== null && bytesPerHour >= MIN_EXPLAINED * buffersPerHour;

/** The largest of the caches that together explain the growth; null when containers that may be caches do not explain it. */
export function cacheOfBuffers(
  growths: readonly ContainerGrowth[],
  buffersPerHour: number,
): ContainerGrowth | null {
  const caches = growths.filter(mayBeCache).toSorted((a, b) => b.bytesPerHour - a.bytesPerHour);
  // A place in step with another one may have the same bytes.
  const separate = caches.filter(
    ({ row }, index) => !caches.slice(0, index).some(({ inStep }) => inStep.includes(row.name)),
  );
  const sum = separate.reduce((total, { bytesPerHour }) => total + Math.max(0, bytesPerHour), 0);
  return explainsBuffers(sum, buffersPerHour) ? (caches[0] ?? null) : null;
}

/** A limit in its code has no duration. Code that removes entries at other moments must show within hours that it does. */
const mayBeCache = ({ answer, row, grownMs }: ContainerGrowth): boolean =>
  answer !== 'found' &&
  (row.expected !== null ||
    (grownMs < MAX_FILLING_MS &&
      (answer === 'plateau' || row.removal === 'code' || row.removal === 'timer')));
