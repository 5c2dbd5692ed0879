/** `safeSend`: sends to a WebSocket only while its client keeps up. */
import { createClock } from '../core/clock.ts';
import type { Dispose } from '../types/index.ts';
import { countAction, registerOnce } from './agent-registration.ts';
import { BoundedMessageQueue } from './bounded-message-queue.ts';
import { OPEN, type Message, type WebSocketLike } from './types.ts';

export interface SafeSendOptions {
  /**
   * Above this many bytes in the WebSocket's send buffer the client is slow. The kernel takes up to 4 MB for a client on
   * the same host before this buffer grows. Default 16,384.
   */
  readonly highWaterBytes?: number;
  /**
   * Handling of a message for a slow client. `drop`: forget it, for data that the next message replaces. `queue`: keep up
   * to 1,000 messages, 1 MiB and 60 s in order, then terminate. `close`: terminate the client. Default `drop`.
   */
  readonly policy?: 'drop' | 'queue' | 'close';
}

export type SendOutcome = 'sent' | 'dropped' | 'queued' | 'closed';

const HIGH_WATER_BYTES = 16_384;
const MAX_QUEUED_BYTES = 1 << 20;

/** For bytes that the application sent itself: their way to the kernel calls nobody back. */
const FLUSH_INTERVAL_MS = 100;

interface Waiting {
  readonly queue: BoundedMessageQueue<Message>;
  readonly highWaterBytes: number;
  /** Ends the wait and frees the messages. */
  readonly stop: () => void;
}

/** The WebSockets with messages that wait. One leaves when its queue is empty or it closes. */
const waiting = new Map<WebSocketLike, Waiting>();
let stopTimer: Dispose | null = null;

/** `closed`: the WebSocket is not open, or was terminated by this call. Never throws. */
export function safeSend(ws: WebSocketLike, data: Message, options: SafeSendOptions = {}): SendOutcome {
  const outcome = trySend(ws, data, options);
  if (outcome !== 'sent') countAction('safeSend', outcome);
  return outcome;
}

function trySend(ws: WebSocketLike, data: Message, options: SafeSendOptions): SendOutcome {
  const { policy = 'drop' } = options;
  // A mistake in the option must not send without a limit.
  const highWaterBytes =
    Number(options.highWaterBytes) >= 0 ? Number(options.highWaterBytes) : HIGH_WATER_BYTES;
  try {
    if (ws.readyState !== OPEN) return 'closed';
    const isSlow = ws.bufferedAmount > highWaterBytes;
    // A message must not overtake those that wait in the queue.
    const mustWait = policy === 'queue' && waiting.has(ws);
    if (!isSlow && !mustWait) {
      send(ws, data);
      return 'sent';
    }
    if (policy === 'queue' && enqueue(ws, data, highWaterBytes)) return 'queued';
    if (policy !== 'queue' && policy !== 'close') return 'dropped';
    // `close()` would wait for a client that does not read.
    ws.terminate();
    return 'closed';
  } catch {
    // ws throws for data that it cannot send, and the WebSocket of a test double may throw for anything.
    return 'dropped';
  }
}

/** The callback runs when the kernel has the bytes: then the queue may go on. */
function send(ws: WebSocketLike, data: Message): void {
  ws.send(data, () => flush(ws));
}

/** False when the queue is full. */
function enqueue(ws: WebSocketLike, data: Message, highWaterBytes: number): boolean {
  const { queue, stop } = waiting.get(ws) ?? startWaiting(ws, highWaterBytes);
  if (queue.queue(data)) return true;
  stop();
  return false;
}

function startWaiting(ws: WebSocketLike, highWaterBytes: number): Waiting {
  const queue = new BoundedMessageQueue<Message>({ maxBytes: MAX_QUEUED_BYTES, onOverflow: 'close' });
  const stop = (): void => {
    ws.off('close', stop);
    waiting.delete(ws);
    if (waiting.size > 0) return;
    stopTimer?.();
    stopTimer = null;
  };
  const started = { queue, highWaterBytes, stop };
  waiting.set(ws, started);
  ws.on('close', stop);
  stopTimer ??= createClock().every(FLUSH_INTERVAL_MS, () => waiting.forEach((_, slow) => flush(slow)));
  registerOnce('safeSend', (agent) =>
    agent.watchQueue('safeSend', countQueued, { oldestAgeMs: oldestQueuedMs }),
  );
  return started;
}

function flush(ws: WebSocketLike): void {
  const entry = waiting.get(ws);
  if (entry === undefined) return;
  const { queue, highWaterBytes, stop } = entry;
  try {
    queue.cleanup();
    while (ws.readyState === OPEN && ws.bufferedAmount <= highWaterBytes) {
      const data = queue.dequeue();
      if (data === undefined) break;
      send(ws, data);
    }
    if (queue.isClosed) ws.terminate();
    if (ws.readyState !== OPEN || queue.getStats().queued === 0) stop();
  } catch {
    stop();
    ws.terminate();
  }
}

function countQueued(): number {
  let queued = 0;
  for (const { queue } of waiting.values()) queued += queue.getStats().queued;
  return queued;
}

function oldestQueuedMs(): number {
  let oldestMs = 0;
  for (const { queue } of waiting.values()) oldestMs = Math.max(oldestMs, queue.oldestAgeMs);
  return oldestMs;
}
