/** `safeSend`: sends to a WebSocket only while its client keeps up. */
import { BoundedMessageQueue } from './bounded-message-queue.ts';
import { countAction } from './agent-registration.ts';
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
const queues = new WeakMap<WebSocketLike, BoundedMessageQueue<Message>>();

/** `closed`: the WebSocket is not open, or was terminated by this call. Never throws. */
export function safeSend(ws: WebSocketLike, data: Message, options: SafeSendOptions = {}): SendOutcome {
  const outcome = trySend(ws, data, options);
  if (outcome !== 'sent') countAction('safeSend', outcome);
  return outcome;
}

function trySend(ws: WebSocketLike, data: Message, options: SafeSendOptions): SendOutcome {
  const { highWaterBytes = HIGH_WATER_BYTES, policy = 'drop' } = options;
  try {
    if (ws.readyState !== OPEN) return 'closed';
    const queue = queues.get(ws);
    const isSlow = ws.bufferedAmount > highWaterBytes;
    // A message must not overtake those that wait in the queue.
    const mustWait = policy === 'queue' && queue !== undefined && queue.getStats().queued > 0;
    if (!isSlow && !mustWait) {
      send(ws, data, highWaterBytes);
      return 'sent';
    }
    if (policy === 'drop') return 'dropped';
    if (policy === 'queue' && queueOf(ws).queue(data)) return 'queued';
    // `close()` would wait for a client that does not read.
    queues.delete(ws);
    ws.terminate();
    return 'closed';
  } catch {
    // ws throws for data that it cannot send, and the WebSocket of a test double may throw for anything.
    return 'dropped';
  }
}

/** The callback runs when the bytes are handed to the kernel: then the queue may go on. */
function send(ws: WebSocketLike, data: Message, highWaterBytes: number): void {
  ws.send(data, () => flush(ws, highWaterBytes));
}

function flush(ws: WebSocketLike, highWaterBytes: number): void {
  const queue = queues.get(ws);
  if (queue === undefined) return;
  try {
    while (ws.readyState === OPEN && ws.bufferedAmount <= highWaterBytes) {
      const data = queue.dequeue();
      if (data === undefined) break;
      send(ws, data, highWaterBytes);
    }
    if (queue.isClosed) ws.terminate();
    if (ws.readyState !== OPEN || queue.getStats().queued === 0) queues.delete(ws);
  } catch {
    queues.delete(ws);
    ws.terminate();
  }
}

function queueOf(ws: WebSocketLike): BoundedMessageQueue<Message> {
  const existing = queues.get(ws);
  if (existing !== undefined) return existing;
  const queue = new BoundedMessageQueue<Message>({ maxBytes: MAX_QUEUED_BYTES, onOverflow: 'close' });
  queues.set(ws, queue);
  return queue;
}
