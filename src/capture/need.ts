/** What the child processes will need, predicted from the size of their files. */

const MIB = 1024 * 1024;
/** A node process before it does anything. */
const BASE_BYTES = 48 * MIB;
/** Of the last snapshot all is kept, peak RSS was 1.16 to 1.2 times the file; of those before it what to compare. */
const RSS_PER_LAST_BYTE = 1.25;
const RSS_PER_EARLIER_BYTE = 0.5;

export function analysisRssBytes(sizes: readonly number[]): number {
  const last = sizes.at(-1) ?? 0;
  const earlier = sizes.slice(0, -1).reduce((sum, size) => sum + size, 0);
  // The earlier ones are read first, so that a larger one among them sets the peak.
  const peak = Math.max(last, ...sizes);
  return Math.round(BASE_BYTES + RSS_PER_LAST_BYTE * peak + RSS_PER_EARLIER_BYTE * earlier);
}

/** Redaction holds a few bytes a node and streams the rest. */
export const redactionRssBytes = (size: number): number => Math.round(BASE_BYTES + 24 * MIB + 0.3 * size);
