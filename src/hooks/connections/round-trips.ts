import type { RttReading } from '../../types/index.ts';

const BOUNDS_SECONDS: readonly number[] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export interface RoundTrips {
  add(seconds: number): void;
  /** Null before the first. */
  read(): RttReading | null;
}

export function createRoundTrips(): RoundTrips {
  const perBucket = Array.from({ length: BOUNDS_SECONDS.length + 1 }, () => 0);
  let count = 0;
  let sumSeconds = 0;
  return {
    add(seconds) {
      if (!(seconds >= 0)) return;
      const at = BOUNDS_SECONDS.findIndex((bound) => seconds <= bound);
      const bucket = at === -1 ? BOUNDS_SECONDS.length : at;
      perBucket[bucket] = (perBucket[bucket] ?? 0) + 1;
      count += 1;
      sumSeconds += seconds;
    },
    read() {
      if (count === 0) return null;
      let below = 0;
      const counts = perBucket.map((inBucket) => (below += inBucket));
      return { boundsSeconds: BOUNDS_SECONDS, counts, sumSeconds };
    },
  };
}
