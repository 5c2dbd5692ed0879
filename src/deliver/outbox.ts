/**
 * Delivers items one at a time and in order. Failed attempts are repeated with backoff and jitter, for at most a day.
 * The queue is bounded. With a store, pending items survive the end of the process.
 */
import { formatBytes } from '../core/format.ts';
import type { Clock, Delivery, Stop } from '../types/index.ts';

/** `retryAfterMs` is the delay that the receiver asked for. */
export type Attempt = Delivery & { readonly retryAfterMs?: number | null };

/** A pending item outside the memory of this process. */
export interface StoredItem<T> {
  readonly name: string;
  readonly bytes: number;
  readonly addedWallMs: number;
  readonly item: T;
}

/** No method throws. */
export interface OutboxStore<T> {
  /** Null when the item could not be stored. It is then pending in memory only. */
  add(item: T, addedWallMs: number): StoredItem<T> | null;
  /** Replaces the content of a stored item. */
  update(stored: StoredItem<T>, item: T): StoredItem<T> | null;
  remove(stored: StoredItem<T>): void;
  /** Items that an earlier watcher of this process or processes that have ended left, oldest first. */
  takeOver(endedFolders: readonly string[]): readonly StoredItem<T>[];
}

export interface OutboxOptions<T> {
  /** `save` replaces the item in the queue and in the store, for an attempt that must not be lost half-way. */
  readonly attempt: (item: T, save: (item: T) => void) => Promise<Attempt>;
  readonly store?: OutboxStore<T> | null | undefined;
  readonly clock: Clock;
  readonly maxItems: number;
  /** A number from 0 to 1. */
  readonly random?: (() => number) | undefined;
  /** Called after a failed attempt that will be repeated. */
  readonly onRetry?: ((delivery: Delivery) => void) | undefined;
}

interface PendingItem<T> {
  item: T;
  readonly addedAtMs: number;
  stored: StoredItem<T> | null;
  attempts: number;
  readonly settle: (delivery: Delivery) => void;
}

const FIRST_BACKOFF_MS = 1000;
const MAX_BACKOFF_MS = 5 * 60_000;
const MAX_AGE_MS = 24 * 3_600_000;
/** An item that fails this often in a row moves to the end, so that one bad item cannot block the others. */
const ATTEMPTS_BEFORE_MOVE = 5;
/** Chosen: 256 alerts of 64 KB, far above the few kilobytes of a usual one. */
const MAX_STORED_BYTES = 16 * 1024 ** 2;

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

  /** Resolves with the final outcome. An item that is still stored at `stop()` resolves with `retry`. */
  deliver(item: T): Promise<Delivery> {
    if (this.#isStopped) return Promise.resolve(dropped(STOPPING));
    const { clock, store } = this.#options;
    const stored = store?.add(item, clock.wallMs()) ?? null;
    return this.#add({ item, stored, addedAtMs: clock.nowMs() });
  }

  /** Continues with the items of earlier processes; the outcome of each. */
  restore(endedFolders: readonly string[]): Promise<Delivery>[] {
    const { clock, store } = this.#options;
    return (store?.takeOver(endedFolders) ?? []).map((stored) => {
      const ageMs = Math.max(0, clock.wallMs() - stored.addedWallMs);
      return this.#add({ item: stored.item, stored, addedAtMs: clock.nowMs() - ageMs });
    });
  }

  /** Resolves when nothing is pending, or after `limitMs`. */
  async idle(limitMs: number): Promise<void> {
    const limit = new Promise<void>((resolve) => this.#options.clock.after(limitMs, resolve));
    await Promise.race([limit, Promise.allSettled(this.#unsettled)]);
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancelRetry?.();
    for (const pending of this.#pending) {
      this.#pending.delete(pending);
      pending.settle(pending.stored === null ? dropped(STOPPING) : KEPT);
    }
  }

  #add(entry: Pick<PendingItem<T>, 'item' | 'stored' | 'addedAtMs'>): Promise<Delivery> {
    const { maxItems } = this.#options;
    while (this.#pending.size >= maxItems) this.#dropOldest(`more than ${maxItems} items are pending`);
    while (this.#storedBytes() + (entry.stored?.bytes ?? 0) > MAX_STORED_BYTES && this.#pending.size > 0)
      this.#dropOldest(`more than ${formatBytes(MAX_STORED_BYTES)} are pending`);
    const outcome = new Promise<Delivery>((settle) => {
      this.#pending.add({ ...entry, attempts: 0, settle });
    });
    this.#unsettled.add(outcome);
    void outcome.then(() => this.#unsettled.delete(outcome));
    void this.#run();
    return outcome;
  }

  #storedBytes(): number {
    let bytes = 0;
    for (const { stored } of this.#pending) bytes += stored?.bytes ?? 0;
    return bytes;
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
      const pending = oldest;
      const save = (item: T): void => this.#save(pending, item);
      const attempt = this.#options.attempt(pending.item, save);
      this.#finishAttempt(pending, await attempt.catch(attemptThatThrew));
    }
    this.#isRunning = false;
  }

  #save(pending: PendingItem<T>, item: T): void {
    pending.item = item;
    if (pending.stored === null || !this.#pending.has(pending)) return;
    pending.stored = this.#options.store?.update(pending.stored, item) ?? pending.stored;
  }

  #finishAttempt(pending: PendingItem<T>, attempt: Attempt): void {
    if (this.#isStopped) {
      if (attempt.outcome !== 'retry' && pending.stored !== null) this.#options.store?.remove(pending.stored);
      return;
    }
    const { clock, onRetry, random = Math.random } = this.#options;
    const isTooOld = clock.nowMs() - pending.addedAtMs > MAX_AGE_MS;
    if (attempt.outcome !== 'retry' || isTooOld) {
      this.#end(pending, attempt.outcome === 'retry' ? { ...attempt, outcome: 'dropped' } : attempt);
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
    if (oldest !== undefined) this.#end(oldest, dropped(reason));
  }

  #end(pending: PendingItem<T>, delivery: Delivery): void {
    this.#pending.delete(pending);
    if (pending.stored !== null) this.#options.store?.remove(pending.stored);
    pending.settle(delivery);
  }
}

/** Half of the delay is random, so that the processes of a fleet do not retry at the same moment. */
function backoffMs(attempts: number, requestedMs: number, random: number): number {
  const fullMs = Math.min(FIRST_BACKOFF_MS * 2 ** (attempts - 1), MAX_BACKOFF_MS);
  return Math.max(fullMs / 2 + (fullMs / 2) * random, Math.min(requestedMs, MAX_BACKOFF_MS));
}

const STOPPING = 'the agent is stopping';
const KEPT: Delivery = {
  outcome: 'retry',
  code: 'WSGUARD_OUTBOX',
  reason: 'the agent is stopping; it is kept in WSGUARD_DIR, and the next process of this service sends it',
};

const dropped = (reason: string): Delivery => ({ outcome: 'dropped', code: 'WSGUARD_OUTBOX', reason });

const attemptThatThrew = (error: unknown): Attempt =>
  dropped(error instanceof Error ? error.message : 'unknown');
