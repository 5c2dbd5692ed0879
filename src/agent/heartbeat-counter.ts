/**
 * The one thing both threads share: eight bytes. A count that stops while the watcher's own clock runs on means that
 * the application's thread is blocked; no message could say so.
 */
const COUNT = 0;
const EXCUSED = 1;

export const HEARTBEAT_BYTES = 8;
export const HEARTBEAT_PERIOD_MS = 1_000;

export interface HeartbeatCounter {
  bump(): void;
  /** While it runs, silence is our own doing: a snapshot stops the thread. */
  excuse<T>(task: () => T): T;
}

export function createHeartbeatCounter(memory: SharedArrayBuffer): HeartbeatCounter {
  const cells = new Int32Array(memory);
  return {
    bump: () => void Atomics.add(cells, COUNT, 1),
    excuse(task) {
      Atomics.store(cells, EXCUSED, 1);
      try {
        return task();
      } finally {
        Atomics.add(cells, COUNT, 1);
        Atomics.store(cells, EXCUSED, 0);
      }
    },
  };
}

/** The watcher's side: told the time, returns how long the thread has been silent. */
export function createHeartbeatMonitor(memory: SharedArrayBuffer): (nowMs: number) => number {
  const cells = new Int32Array(memory);
  let lastCount = -1;
  let heardAtMs = 0;
  let askedAtMs: number | null = null;
  return (nowMs) => {
    const count = Atomics.load(cells, COUNT);
    // A watcher that itself was not run (a suspended machine) cannot know that the other side was silent meanwhile.
    const wasAway = askedAtMs !== null && nowMs - askedAtMs > 5 * HEARTBEAT_PERIOD_MS;
    if (count !== lastCount || wasAway || Atomics.load(cells, EXCUSED) === 1) {
      lastCount = count;
      heardAtMs = nowMs;
    }
    askedAtMs = nowMs;
    return nowMs - heardAtMs;
  };
}
