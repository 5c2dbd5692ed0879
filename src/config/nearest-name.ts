/** Finds the name that a misspelt one was most likely meant to be. Pure. */

/** Short names too may differ in 3 letters: `interval` is 2 edits away from `intervalMs`. */
const MIN_ALLOWED_EDITS = 3;

/**
 * The candidate that is the fewest edits away, or `null` when none is near. A third of the letters may differ, but
 * never more than half: `bogus` is not a misspelt `log`.
 */
export function nearestName(name: string, candidates: readonly string[]): string | null {
  let best: string | null = null;
  const allowedEdits = Math.min(
    Math.max(MIN_ALLOWED_EDITS, Math.ceil(name.length / 3)),
    Math.floor(name.length / 2),
  );
  let bestDistance = allowedEdits + 1;
  for (const candidate of candidates) {
    const distance = editDistance(name, candidate);
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

/** Levenshtein distance, one row of the table at a time. */
function editDistance(a: string, b: string): number {
  let previousRow = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const substitution = (previousRow[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(substitution, (previousRow[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1));
    }
    previousRow = row;
  }
  return previousRow[b.length] ?? 0;
}
