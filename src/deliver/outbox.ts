/**
 * Delivers items one at a time and in order. Failed attempts are repeated with backoff and jitter, for at most a day.
 * The queue is bounded and lives in memory.
 */
import type { Clock, Delivery, Stop } from '../types/index.ts';

/** `retryAfterMs` is the delay that the receiver asked for. */
export type Attempt = Delivery & { readonly retryAfterMs?: number | null };

export interface OutboxOptions<T> {
  readonly attempt: (item: T) => Promise<Attempt>;
  readonly clock: Clock;
  readonly maxItems: number;
  /** A number from 0 to 1. */
  readonly random?: () => number;
  /** Called after a failed attempt that will be repeated. */
  readonly onRetry?: (delivery: Delivery) => void;
}

interface PendingItem<T> {
  readonly item: T;
  readonly addedAtMs: number;
  attempts: number;
  readonly settle: (delivery: Delivery) => void;
}

const FIRST_BACKOFF_MS = 1000;
const MAX_BACKOFF_MS = 5 * 60_000;
const MAX_AGE_MS = 24 * 3_600_000;
/** An item that fails this often in a row moves to the end, so that one bad item cannot block the others. */
const ATTEMPTS_BEFORE_MOVE = 5;

export class Outbox<T> {
  readonly #options: OutboxOptions<T>;
  /** Oldest first; a Set keeps the order in which items were added. */
  readonly #pending = new Set<PendingItem<T>>();
  readonly #unsettled = new Set<Promise<Delivery>>();
  #isRunning = false;
  #isStopped = false;
  #cancelRetry: Stop | null = null;

  constructor(options: OutboxOptions<T>) {
    this.#options = options;
  }

  get size(): number {
    return this.#pending.size;
  }

  /** Resolves with the final outcome: delivered or dropped. */
  deliver(item: T): Promise<Delivery> {
    if (this.#isStopped) return Promise.resolve(dropped('the agent is stopping'));
    const { maxItems, clock } = this.#options;
    const outcome = new Promise<Delivery>((settle) => {
      while (this.#pending.size >= maxItems) this.#dropOldest(`more than ${maxItems} items are pending`);
      this.#pending.add({ item, addedAtMs: clock.nowMs(), attempts: 0, settle });
    });
    this.#unsettled.add(outcome);
    void outcome.then(() => this.#unsettled.delete(outcome));
    void this.#run();
    return outcome;
  }

  /** Resolves when nothing is pending, or after `limitMs`. */
  async idle(limitMs: number): Promise<void> {
    const limit = new Promise<void>((resolve) => this.#options.clock.after(limitMs, resolve));
    await Promise.race([limit, Promise.allSettled(this.#unsettled)]);
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancelRetry?.();
    while (this.#pending.size > 0) this.#dropOldest('the agent is stopping');
  }

  get #oldest(): PendingItem<T> | undefined {
    return this.#pending.values().next().value;
  }

  async #run(): Promise<void> {
    if (this.#isRunning) return;
    this.#isRunning = true;
    for (
      let oldest = this.#oldest;
      oldest !== undefined && !this.#isStopped && this.#cancelRetry === null;
      oldest = this.#oldest
    ) {
      this.#finishAttempt(oldest, await this.#options.attempt(oldest.item).catch(attemptThatThrew));
    }
    this.#isRunning = false;
  }

  #finishAttempt(pending: PendingItem<T>, attempt: Attempt): void {
    if (this.#isStopped) return;
    const { clock, onRetry, random = Math.random } = this.#options;
    const isTooOld = clock.nowMs() - pending.addedAtMs > MAX_AGE_MS;
    if (attempt.outcome !== 'retry' || isTooOld) {
      this.#pending.delete(pending);
      pending.settle(attempt.outcome === 'retry' ? { ...attempt, outcome: 'dropped' } : attempt);
      return;
    }
    pending.attempts += 1;
    onRetry?.(attempt);
    // During the attempt the item may have been dropped to make room; a dropped item is not added again.
    if (pending.attempts % ATTEMPTS_BEFORE_MOVE === 0 && this.#oldest === pending) {
      this.#pending.delete(pending);
      this.#pending.add(pending);
    }
    const delayMs = backoffMs(pending.attempts, attempt.retryAfterMs ?? 0, random());
    this.#cancelRetry = clock.after(delayMs, () => {
      this.#cancelRetry = null;
      void this.#run();
    });
  }

  #dropOldest(reason: string): void {
    const oldest = this.#oldest;
    if (oldest === undefined) return;
    this.#pending.delete(oldest);
    oldest.settle(dropped(reason));
  }
}

/** Half of the delay is random, so that the processes of a fleet do not retry at the same moment. */
function backoffMs(attempts: number, requestedMs: number, random: number): number {
  const fullMs = Math.min(FIRST_BACKOFF_MS * 2 ** (attempts - 1), MAX_BACKOFF_MS);
  return Math.max(fullMs / 2 + (fullMs / 2) * random, Math.min(requestedMs, MAX_BACKOFF_MS));
}

const dropped = (reason: string): Delivery => ({ outcome: 'dropped', code: 'WSGUARD_OUTBOX', reason });

const attemptThatThrew = (error: unknown): Attempt =>
  dropped(error instanceof Error ? error.message : 'unknown');
