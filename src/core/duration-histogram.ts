/** `DurationHistogram`: counts durations in the buckets of Prometheus's default histogram, from 1 ms to 10 s. */
import type { HistogramReading } from '../types/index.ts';

const BOUNDS_SECONDS: readonly number[] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export class DurationHistogram {
  readonly #bucketCounts = Array.from({ length: BOUNDS_SECONDS.length + 1 }, () => 0);
  #count = 0;
  #sumSeconds = 0;

  add(seconds: number): void {
    if (!(seconds >= 0)) return;
    const index = BOUNDS_SECONDS.findIndex((bound) => seconds <= bound);
    const bucket = index === -1 ? BOUNDS_SECONDS.length : index;
    this.#bucketCounts[bucket] = (this.#bucketCounts[bucket] ?? 0) + 1;
    this.#count += 1;
    this.#sumSeconds += seconds;
  }

  /** Null before the first duration. */
  read(): HistogramReading | null {
    if (this.#count === 0) return null;
    let total = 0;
    const counts = this.#bucketCounts.map((count) => (total += count));
    return { boundsSeconds: BOUNDS_SECONDS, counts, sumSeconds: this.#sumSeconds };
  }
}
