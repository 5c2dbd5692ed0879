/** `GrowthPauses`: the pauses of leaks that grew again, so that a leak that follows the traffic of the day opens few alerts. */

const HOUR_MS = 3_600_000;
/** A leak that does not show for a whole window of counts has stopped. */
export const MIN_PAUSE_MS = HOUR_MS / 2;
/** Traffic repeats within a day. */
const MAX_PAUSE_MS = 24 * HOUR_MS;
/** The next pause may be longer than the last one. */
const FACTOR = 2;
/** Memory bound. */
const MAX_LEAKS = 50;

export class GrowthPauses {
  /** Fingerprint -> scaled time of the last finding of an alert that has closed, the oldest closing first. */
  readonly #endedMs = new Map<string, number>();

  /** Notes an alert that closes. */
  note(fingerprint: string, lastFoundMs: number): void {
    this.#endedMs.delete(fingerprint);
    this.#endedMs.set(fingerprint, lastFoundMs);
    const [oldest] = this.#endedMs.keys();
    if (this.#endedMs.size > MAX_LEAKS && oldest !== undefined) this.#endedMs.delete(oldest);
  }

  /** For how long the growth must be absent until an alert that opens now closes, in ms of scaled time. */
  closeAfterMs(fingerprint: string, nowMs: number): number {
    const endedMs = this.#endedMs.get(fingerprint);
    const pauseMs = endedMs === undefined ? Infinity : nowMs - endedMs;
    return pauseMs > MAX_PAUSE_MS
      ? MIN_PAUSE_MS
      : Math.min(Math.max(MIN_PAUSE_MS, FACTOR * pauseMs), MAX_PAUSE_MS);
  }
}
