/** A bound on the series that names from the application can make. */
import type { Labels, Point } from './metric.ts';

export const MAX_SERIES = 100;
export const OTHER = 'other';
const MAX_LABEL = 128;

export interface Capped {
  readonly points: readonly Point[];
  /** How many series went into `other`. */
  readonly folded: number;
}

/**
 * Keeps the largest and sums the rest in `other`. Same labels are summed too: two registries of one name are one
 * series, a page with a duplicate would be refused whole.
 */
export function capSeries(points: readonly Point[], max = MAX_SERIES): Capped {
  const distinct = sumEqual(points.map(({ labels, value }) => ({ labels: shorten(labels), value })));
  if (distinct.length <= max) return { points: distinct, folded: 0 };
  const ordered = distinct.toSorted((a, b) => b.value - a.value);
  const rest = ordered.slice(max - 1);
  const names = Object.keys(rest[0]?.labels ?? {});
  const labels = Object.fromEntries(names.map((name) => [name, OTHER]));
  const value = rest.reduce((sum, point) => sum + point.value, 0);
  return { points: sumEqual([...ordered.slice(0, max - 1), { labels, value }]), folded: rest.length };
}

function sumEqual(points: readonly Point[]): Point[] {
  const byKey = new Map<string, Point>();
  for (const { labels, value } of points) {
    const key = JSON.stringify(labels);
    byKey.set(key, { labels, value: value + (byKey.get(key)?.value ?? 0) });
  }
  return [...byKey.values()];
}

const shorten = (labels: Labels): Labels =>
  Object.fromEntries(
    Object.entries(labels).map(([name, text]) => [
      name,
      text.length > MAX_LABEL ? `${text.slice(0, MAX_LABEL - 1)}…` : text,
    ]),
  );
