/**
 * The heartbeat: a counter in shared memory that the application thread increments once a second. A counter that stands
 * still while the watcher's clock runs shows that the application thread is blocked, when no message could be sent. The
 * sizes of its heap are beside the counter, because the watcher cannot read the heap of another thread.
 */
import { getHeapStatistics } from 'node:v8';

const COUNT = 0;
const IN_CAPTURE = 1;
const COUNTER_BYTES = 2 * Int32Array.BYTES_PER_ELEMENT;
const USED_HEAP = 0;
const EXTERNAL = 1;
const HEARTBEAT_BYTES = COUNTER_BYTES + 2 * Float64Array.BYTES_PER_ELEMENT;
export const HEARTBEAT_PERIOD_MS = 1_000;
/** A watcher that did not check for this long was suspended itself, together with the machine or the process. */
const MAX_CHECK_GAP_MS = 5 * HEARTBEAT_PERIOD_MS;

/** The application thread's side. */
export interface HeartbeatCounter {
  /** For `createHeartbeatMonitor` in the watcher thread. */
  readonly memory: SharedArrayBuffer;
  increment(): void;
  /** Runs a capture. The agent itself blocks the thread during it, so the watcher does not count this time as silence. */
  duringCapture<T>(capture: () => T): T;
}

export function createHeartbeatCounter(): HeartbeatCounter {
  const memory = new SharedArrayBuffer(HEARTBEAT_BYTES);
  const cells = new Int32Array(memory, 0, 2);
  const heap = new Float64Array(memory, COUNTER_BYTES);
  return {
    memory,
    increment() {
      const { used_heap_size, external_memory } = getHeapStatistics();
      heap[USED_HEAP] = used_heap_size;
      heap[EXTERNAL] = external_memory;
      Atomics.add(cells, COUNT, 1);
    },
    duringCapture(capture) {
      Atomics.store(cells, IN_CAPTURE, 1);
      try {
        return capture();
      } finally {
        Atomics.add(cells, COUNT, 1);
        Atomics.store(cells, IN_CAPTURE, 0);
      }
    },
  };
}

/** The watcher's side. The returned function takes the time and returns for how many ms the counter has stood still. */
export function createHeartbeatMonitor(memory: SharedArrayBuffer): (nowMs: number) => number {
  const cells = new Int32Array(memory, 0, 2);
  let lastCount = -1;
  let lastChangeAtMs = 0;
  let lastCheckAtMs: number | null = null;
  return (nowMs) => {
    const count = Atomics.load(cells, COUNT);
    const wasSuspended = lastCheckAtMs !== null && nowMs - lastCheckAtMs > MAX_CHECK_GAP_MS;
    if (count !== lastCount || wasSuspended || Atomics.load(cells, IN_CAPTURE) === 1) {
      lastCount = count;
      lastChangeAtMs = nowMs;
    }
    lastCheckAtMs = nowMs;
    return nowMs - lastChangeAtMs;
  };
}

/** The watcher's side: the heap of the application thread at its last heartbeat; zeros before the first one. */
export function createHeapReader(
  memory: SharedArrayBuffer,
): () => { readonly heapUsedBytes: number; readonly externalBytes: number } {
  const heap = new Float64Array(memory, COUNTER_BYTES);
  return () => ({ heapUsedBytes: heap[USED_HEAP] ?? 0, externalBytes: heap[EXTERNAL] ?? 0 });
}
