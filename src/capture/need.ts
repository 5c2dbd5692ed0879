/** What the child processes will need, predicted from the size of their files. */

const MIB = 1024 * 1024;
/** A node process before it does anything. */
const BASE_BYTES = 48 * MIB;
/** Peak RSS of the whole analysis was 1.16 to 1.2 times the file. */
const RSS_PER_FILE_BYTE = 1.25;

export function analysisRssBytes(sizes: readonly number[]): number {
  const total = sizes.reduce((sum, size) => sum + size, 0);
  return Math.round(BASE_BYTES + RSS_PER_FILE_BYTE * total);
}

/** Redaction holds a few bytes a node and streams the rest. */
export const redactionRssBytes = (size: number): number => Math.round(BASE_BYTES + 24 * MIB + 0.3 * size);
