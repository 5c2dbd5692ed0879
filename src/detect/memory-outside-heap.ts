/** `externalBuffers` and `nativeMemory`: growth of Buffers, and of RSS beyond the heap and Buffers. */

import { formatChange, formatDuration } from '../core/format.ts';
import { LEAKS } from '../kinds/index.ts';
import type { Evidence, Verdict } from '../types/index.ts';
import { blockMinima, type BlockMinima } from './block-minima.ts';
import { found, insufficientData, noFinding, type Detector, type View } from './detector.ts';
import { HOUR_MS, MINUTE_MS, type History } from './history.ts';
import { loadDoubt } from './load-doubt.ts';
import { poolDoubt, memoryLimitOf, type Doubt, type Pool } from './pool-doubt.ts';
import type { FixedColumn } from './sample-row.ts';
import { withoutMissing } from './statistics.ts';

const EXTERNAL = 'external';
const NATIVE = 'native';
const external = LEAKS['external-buffers'].thresholds;
const native = LEAKS['native-or-compression'].thresholds;
const NATIVE_WINDOW_MS = LEAKS['native-or-compression'].window.ms;
const EXTERNAL_RULES = [
  { windowMs: 30 * MINUTE_MS, share: external.fastShare.value, bytes: external.fastBytes.value },
  { windowMs: 60 * MINUTE_MS, share: external.slowShare.value, bytes: external.slowBytes.value },
] as const;
/** Below this part in the last half the growth has stopped (example traces). */
const STOPPED = 0.15;
/** A pool below this share of its maximum has been released. */
const RELEASED = 0.7;

const EXTERNAL_POOL: Pool = {
  valuesOf: (window) => window.column('externalBytes'),
  bytesOf: ({ externalBytes }) => externalBytes,
  isRebased: false,
};
const NATIVE_POOL: Pool = {
  valuesOf: (window) => {
    const heap = window.column('heapTotalBytes');
    const buffers = window.column('externalBytes');
    return window.column('rssBytes').map((bytes, row) => bytes - (heap[row] ?? 0) - (buffers[row] ?? 0));
  },
  bytesOf: ({ nativeBytes }) => nativeBytes,
  isRebased: true,
};

export const externalBuffers: Detector = {
  name: EXTERNAL,
  evaluate({ history }) {
    const [fast, ...slower] = EXTERNAL_RULES.map((rule) => externalVerdict(history, rule));
    if (fast === undefined || fast.answer === 'found') return fast === undefined ? [] : [fast];
    return [slower.find(({ answer }) => answer === 'found') ?? fast];
  },
};

function externalVerdict(history: History, rule: (typeof EXTERNAL_RULES)[number]): Verdict {
  const { windowMs, share, bytes } = rule;
  const blocks = minimaOf(history, 'externalBytes', windowMs);
  if (blocks === null) return notFull(EXTERNAL, windowMs);
  const threshold = Math.min(share * memoryLimitOf(history), bytes);
  const evidence = evidenceOf('wsguard_external_bytes', blocks, threshold);
  const title = `Memory of Buffers ${formatChange(blocks.rise)} in ${formatDuration(blocks.spanMs)}`;
  if (blocks.rise < threshold) return noFinding(EXTERNAL, 'ok', title, { evidence });
  if (!blocks.keepsRising || blocks.lateShare < external.lateShare.value)
    return noFinding(EXTERNAL, 'plateau', `${title}, but not steadily`, { evidence });
  const doubt = poolDoubt(history, blocks, EXTERNAL_POOL) ?? loadDoubt(history);
  if (doubt !== null) return doubtful(EXTERNAL, { title, doubt, evidence });
  const rss = minimaOf(history, 'rssBytes', windowMs);
  if (rss !== null && blocks.rise < external.rssShare.value * rss.rise)
    return noFinding(EXTERNAL, 'inconclusive', `${title}, but RSS ${formatChange(rss.rise)}`, { evidence });
  return found(EXTERNAL, { kind: 'external-buffers', subject: 'external', title, evidence });
}

export const nativeMemory: Detector = {
  name: NATIVE,
  evaluate(view) {
    const { history } = view;
    const { window, rebasedMs, startedMs } = history;
    const rss = window.column('rssBytes');
    const nativeBytes = NATIVE_POOL.valuesOf(window);
    // RSS rises by 10 to 30 MB while the first connections arrive, and after a snapshot in the process (measured).
    const fromMs = Math.max(startedMs + 2 * MINUTE_MS, rebasedMs + MINUTE_MS);
    const blocks = blockMinima(history, nativeBytes, { windowMs: NATIVE_WINDOW_MS, fromMs });
    if (blocks === null) return [notFull(NATIVE, NATIVE_WINDOW_MS)];
    const bySize = Math.max(native.rssMinBytes.value, native.rssShare.value * (rss.at(-1) ?? 0));
    const threshold = Math.max(
      native.minBytes.value,
      Math.min(native.riseShare.value * memoryLimitOf(history), bySize),
    );
    const evidence = evidenceOf('rss_beyond_heap_and_external_bytes', blocks, threshold);
    const title = `RSS beyond the heap and Buffers ${formatChange(blocks.rise)} in ${formatDuration(blocks.spanMs)}`;
    if (blocks.rise < threshold) return [noFinding(NATIVE, 'ok', title, { evidence })];
    if (blocks.lateShare < STOPPED)
      return [noFinding(NATIVE, reasonForPlateau(view), `${title} and then stopped`, { evidence })];
    if (!blocks.keepsRising || blocks.lateShare < native.lateShare.value)
      return [noFinding(NATIVE, 'inconclusive', `${title}, but not steadily`, { evidence })];
    const doubt = poolDoubt(history, blocks, NATIVE_POOL);
    if (doubt !== null) return [doubtful(NATIVE, { title, doubt, evidence })];
    return [found(NATIVE, { kind: 'native-or-compression', subject: 'rss', title, evidence })];
  },
};

function minimaOf(history: History, column: FixedColumn, windowMs: number): BlockMinima | null {
  return blockMinima(history, history.window.column(column), { windowMs });
}

/** malloc keeps the memory of a burst that is over. Otherwise the objects of the burst may still be in use. */
function reasonForPlateau({ history: { window } }: View): 'allocator-retention' | 'plateau' {
  const isReleased = (column: FixedColumn): boolean => {
    const values = withoutMissing(window.column(column));
    return (values.at(-1) ?? 0) < RELEASED * values.reduce((max, value) => Math.max(max, value), 0);
  };
  return isReleased('connections') || isReleased('oldSpaceBytes') || isReleased('externalBytes')
    ? 'allocator-retention'
    : 'plateau';
}

const doubtful = (
  detector: string,
  { title, doubt, evidence }: { title: string; doubt: Doubt; evidence: readonly Evidence[] },
): Verdict =>
  noFinding(detector, 'inconclusive', `${title}, ${doubt.because}`, {
    evidence,
    ...(doubt.missing === undefined ? {} : { missing: doubt.missing }),
  });

const notFull = (detector: string, windowMs: number): Verdict =>
  insufficientData(detector, `${windowMs / MINUTE_MS} min of samples`);

const evidenceOf = (
  name: string,
  { minima, rise, spanMs, perMs }: BlockMinima,
  threshold: number,
): Evidence[] => [
  { name, value: minima.at(-1) ?? 0, unit: 'By' },
  { name: 'rise_in_window', value: rise, unit: 'By', threshold, windowMs: spanMs },
  { name: 'wsguard_memory_growth_bytes_per_hour', value: perMs * HOUR_MS, unit: 'By/h' },
];
