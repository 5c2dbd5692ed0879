/**
 * What waits to be delivered: one at a time, in order, with backoff and jitter, bounded. The store is memory now;
 * a store on disk has the same four methods.
 */
import type { Clock, Delivery, Stop } from '../types.ts';

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

export interface Outbox<T> {
  /** Resolves with what became of it in the end. */
  deliver(item: T): Promise<Delivery>;
  readonly size: number;
  stop(): void;
}

const FIRST_BACKOFF_MS = 1000;
const MAX_BACKOFF_MS = 5 * 60_000;
const MAX_AGE_MS = 24 * 3_600_000;
/** After so many failures in a row an item goes behind the others: it may be the one that cannot be taken. */
const ATTEMPTS_IN_FRONT = 5;

export function createOutbox<T>(options: OutboxOptions<T>): Outbox<T> {
  const { clock, random = Math.random } = options;
  const store = options.store ?? memoryStore<T>();
  let busy = false;
  let stopped = false;
  let stopTimer: Stop | null = null;

  async function next(): Promise<void> {
    const waiting = store.first();
    if (busy || stopped || stopTimer !== null || waiting === undefined) return;
    busy = true;
    const attempt = await options.attempt(waiting.item).catch(broken);
    busy = false;
    after(waiting, attempt);
    await next();
  }

  function after(waiting: Waiting<T>, attempt: Attempt): void {
    if (stopped) return;
    const isOld = clock.nowMs() - waiting.addedAtMs > MAX_AGE_MS;
    if (attempt.outcome !== 'retry' || isOld) {
      store.remove(waiting);
      waiting.settle(attempt.outcome === 'retry' ? { ...attempt, outcome: 'dropped' } : attempt);
      return;
    }
    waiting.attempts += 1;
    options.onRetry?.(attempt);
    // It may have been dropped for want of room while it was on its way; then it is not put back.
    if (waiting.attempts % ATTEMPTS_IN_FRONT === 0 && store.first() === waiting) {
      store.remove(waiting);
      store.add(waiting);
    }
    stopTimer = clock.after(backoffMs(waiting.attempts, attempt.retryAfterMs ?? 0, random()), () => {
      stopTimer = null;
      void next();
    });
  }

  return {
    get size() {
      return store.size;
    },
    deliver(item) {
      if (stopped) return Promise.resolve(dropped('the agent stops'));
      return new Promise((settle) => {
        while (store.size >= options.maxItems) dropFirst(store, `more than ${options.maxItems} waiting`);
        store.add({ item, addedAtMs: clock.nowMs(), attempts: 0, settle });
        void next();
      });
    },
    stop() {
      stopped = true;
      stopTimer?.();
      while (store.size > 0) dropFirst(store, 'the agent stops');
    },
  };
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
