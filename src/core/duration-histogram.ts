/** `DurationHistogram`: counts durations in buckets, by default those of Prometheus's default histogram, 1 ms to 10 s. */
import type { HistogramReading } from '../types/index.ts';

const DEFAULT_BOUNDS_SECONDS: readonly number[] = [
  0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];

export class DurationHistogram {
  readonly #boundsSeconds: readonly number[];
  readonly #bucketCounts: number[];
  #count = 0;
  #sumSeconds = 0;

  /** Upper bounds of the buckets, in ascending order. */
  constructor(boundsSeconds: readonly number[] = DEFAULT_BOUNDS_SECONDS) {
    this.#boundsSeconds = boundsSeconds;
    this.#bucketCounts = Array.from({ length: boundsSeconds.length + 1 }, () => 0);
  }

  add(seconds: number): void {
    if (!(seconds >= 0)) return;
    const index = this.#boundsSeconds.findIndex((bound) => seconds <= bound);
    const bucket = index === -1 ? this.#boundsSeconds.length : index;
    this.#bucketCounts[bucket] = (this.#bucketCounts[bucket] ?? 0) + 1;
    this.#count += 1;
    this.#sumSeconds += seconds;
  }

  /** Null before the first duration. */
  read(): HistogramReading | null {
    if (this.#count === 0) return null;
    let total = 0;
    const counts = this.#bucketCounts.map((count) => (total += count));
    return { boundsSeconds: this.#boundsSeconds, counts, sumSeconds: this.#sumSeconds };
  }
}
