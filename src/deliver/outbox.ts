/**
 * What waits to be delivered: one at a time, in order, with backoff and jitter, bounded. The store is memory now;
 * a store on disk has the same four methods.
 */
import type { Clock, Delivery, Stop } from '../types/index.ts';

/** `retry` may name the time the receiver asked for. */
export type Attempt = Delivery & { readonly retryAfterMs?: number | null };

export interface Waiting<T> {
  readonly item: T;
  readonly addedAtMs: number;
  attempts: number;
  readonly settle: (delivery: Delivery) => void;
}

export interface OutboxStore<T> {
  readonly size: number;
  first(): Waiting<T> | undefined;
  add(waiting: Waiting<T>): void;
  remove(waiting: Waiting<T>): void;
}

export interface OutboxOptions<T> {
  readonly attempt: (item: T) => Promise<Attempt>;
  readonly clock: Clock;
  readonly maxItems: number;
  readonly store?: OutboxStore<T>;
  /** 0 to 1. */
  readonly random?: () => number;
  /** After an attempt that will be repeated. */
  readonly onRetry?: (delivery: Delivery) => void;
}

const FIRST_BACKOFF_MS = 1000;
const MAX_BACKOFF_MS = 5 * 60_000;
const MAX_AGE_MS = 24 * 3_600_000;
/** After so many failures in a row an item goes behind the others: it may be the one that cannot be taken. */
const ATTEMPTS_IN_FRONT = 5;

export class Outbox<T> {
  readonly #options: OutboxOptions<T>;
  readonly #store: OutboxStore<T>;
  readonly #unsettled = new Set<Promise<Delivery>>();
  #busy = false;
  #stopped = false;
  #stopTimer: Stop | null = null;

  constructor(options: OutboxOptions<T>) {
    this.#options = options;
    this.#store = options.store ?? memoryStore<T>();
  }

  get size(): number {
    return this.#store.size;
  }

  /** Resolves with what became of it in the end. */
  deliver(item: T): Promise<Delivery> {
    if (this.#stopped) return Promise.resolve(dropped('the agent stops'));
    const { maxItems, clock } = this.#options;
    const outcome = new Promise<Delivery>((settle) => {
      while (this.#store.size >= maxItems) dropFirst(this.#store, `more than ${maxItems} waiting`);
      this.#store.add({ item, addedAtMs: clock.nowMs(), attempts: 0, settle });
    });
    this.#unsettled.add(outcome);
    void outcome.then(() => this.#unsettled.delete(outcome));
    void this.#run();
    return outcome;
  }

  /** Resolves when nothing waits any more, or after that time: a process that ends gives it a moment. */
  async idle(limitMs: number): Promise<void> {
    const limit = new Promise<void>((resolve) => this.#options.clock.after(limitMs, resolve));
    await Promise.race([limit, Promise.allSettled(this.#unsettled)]);
  }

  stop(): void {
    this.#stopped = true;
    this.#stopTimer?.();
    while (this.#store.size > 0) dropFirst(this.#store, 'the agent stops');
  }

  async #run(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    for (
      let waiting = this.#store.first();
      waiting !== undefined && !this.#stopped && this.#stopTimer === null;
      waiting = this.#store.first()
    ) {
      this.#after(waiting, await this.#options.attempt(waiting.item).catch(broken));
    }
    this.#busy = false;
  }

  #after(waiting: Waiting<T>, attempt: Attempt): void {
    if (this.#stopped) return;
    const { clock, onRetry, random = Math.random } = this.#options;
    const isOld = clock.nowMs() - waiting.addedAtMs > MAX_AGE_MS;
    if (attempt.outcome !== 'retry' || isOld) {
      this.#store.remove(waiting);
      waiting.settle(attempt.outcome === 'retry' ? { ...attempt, outcome: 'dropped' } : attempt);
      return;
    }
    waiting.attempts += 1;
    onRetry?.(attempt);
    // It may have been dropped for want of room while it was on its way; then it is not put back.
    if (waiting.attempts % ATTEMPTS_IN_FRONT === 0 && this.#store.first() === waiting) {
      this.#store.remove(waiting);
      this.#store.add(waiting);
    }
    this.#stopTimer = clock.after(backoffMs(waiting.attempts, attempt.retryAfterMs ?? 0, random()), () => {
      this.#stopTimer = null;
      void this.#run();
    });
  }
}

function dropFirst<T>(store: OutboxStore<T>, reason: string): void {
  const waiting = store.first();
  if (waiting === undefined) return;
  store.remove(waiting);
  waiting.settle(dropped(reason));
}

/** Half of it is chance, so that a fleet does not come back in step. */
function backoffMs(attempts: number, askedMs: number, random: number): number {
  const fullMs = Math.min(FIRST_BACKOFF_MS * 2 ** (attempts - 1), MAX_BACKOFF_MS);
  return Math.max(fullMs / 2 + (fullMs / 2) * random, Math.min(askedMs, MAX_BACKOFF_MS));
}

const dropped = (reason: string): Delivery => ({ outcome: 'dropped', code: 'WSGUARD_OUTBOX', reason });

const broken = (error: unknown): Attempt => ({
  outcome: 'dropped',
  code: 'WSGUARD_OUTBOX',
  reason: error instanceof Error ? error.message : 'unknown',
});

function memoryStore<T>(): OutboxStore<T> {
  const waiting = new Set<Waiting<T>>();
  return {
    get size() {
      return waiting.size;
    },
    first: () => waiting.values().next().value,
    add: (one) => void waiting.add(one),
    remove: (one) => void waiting.delete(one),
  };
}
