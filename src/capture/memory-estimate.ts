/** What the child processes will need, predicted from the size of their files. */

const MIB = 1024 * 1024;
/** A node process and the analysis's own code, before it reads anything. */
const BASE_BYTES = 72 * MIB;
/** Measured on pairs of 18, 73, 225 and 678 MB together: peak RSS 85, 185, 368 and 890 MB. */
const RSS_PER_FILE_BYTE = 1.25;
/** The part of it that is V8's heap; the rest are typed arrays. */
const HEAP_SHARE = 0.5;
const LEAST_HEAP_MIB = 96;

export function analysisRssBytes(sizes: readonly number[]): number {
  return Math.round(BASE_BYTES + RSS_PER_FILE_BYTE * sizes.reduce((sum, size) => sum + size, 0));
}

export const childHeapMib = (rssBytes: number): number =>
  Math.ceil(Math.max(LEAST_HEAP_MIB, (rssBytes * HEAP_SHARE) / MIB));

/** Redaction holds a few bytes a node and streams the rest. */
export const redactionRssBytes = (size: number): number => Math.round(BASE_BYTES + 0.3 * size);
