/** Counts events of the last hour, in scaled time. */
const HOUR_MS = 3_600_000;

export class HourlyQuota {
  readonly #max: number;
  /** The latest `max` events, the oldest first. */
  #timesMs: readonly number[] = [];

  constructor(max: number) {
    this.#max = max;
  }

  hasRoom(nowMs: number): boolean {
    const [oldest] = this.#timesMs;
    return this.#timesMs.length < this.#max || oldest === undefined || nowMs - oldest >= HOUR_MS;
  }

  note(nowMs: number): void {
    this.#timesMs = [...this.#timesMs, nowMs].slice(-this.#max);
  }
}
