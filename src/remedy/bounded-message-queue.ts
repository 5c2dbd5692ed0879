/** `BoundedMessageQueue`: a queue with a limit on its length, on the age of its messages and, optionally, on its bytes. */
import { createClock } from '../core/clock.ts';
import type { Clock, Dispose } from '../types/index.ts';
import { countAction, registerWithAgent } from './agent-registration.ts';
import { atLeast, checkOptions, oneOf } from './options.ts';
import { messageBytes } from './types.ts';

export interface BoundedMessageQueueOptions<T> {
  /** Messages. Default 1,000. */
  readonly maxSize?: number;
  /** A message older than this is dropped before the next one is read. Default 60,000. */
  readonly maxAgeMs?: number;
  /** Sum of the sizes of the queued messages. Default: no limit. */
  readonly maxBytes?: number;
  /**
   * `drop-oldest` makes room for the new message. `close` refuses the new message and every later one: use it for
   * messages that must all arrive, and close the connection when `queue` returns false. Default `drop-oldest`.
   */
  readonly onOverflow?: 'drop-oldest' | 'close';
  /** Bytes of a message. Default: the UTF-8 length of a string, the length of a buffer, else 0. */
  readonly sizeOf?: (message: T) => number;
  /** Name of the queue in the agent's metrics. Without a name the agent does not count it by itself. */
  readonly name?: string;
}

export interface QueueStats {
  readonly queued: number;
  readonly maxSize: number;
  /** Messages that were dropped, refused or too old. */
  readonly totalDropped: number;
  readonly bytes: number;
}

interface QueuedMessage<T> {
  readonly message: T;
  readonly bytes: number;
  readonly queuedAtMs: number;
}

const MAX_SIZE = 1_000;
const MAX_AGE_MS = 60_000;
/** Removed messages are cut off the front of the array in groups, because each cut moves the rest. */
const MIN_REMOVED_BEFORE_CUT = 64;

export class BoundedMessageQueue<T = unknown> {
  readonly #maxSize: number;
  readonly #maxAgeMs: number;
  readonly #maxBytes: number;
  readonly #closesOnOverflow: boolean;
  readonly #sizeOf: (message: T) => number;
  readonly #clock: Clock;
  #messages: (QueuedMessage<T> | undefined)[] = [];
  /** Index of the oldest message. */
  #first = 0;
  #bytes = 0;
  #totalDropped = 0;
  #isClosed = false;

  constructor(options: BoundedMessageQueueOptions<T> = {}, clock: Clock = createClock()) {
    checkOptions('BoundedMessageQueue', options, {
      maxSize: atLeast(0),
      maxAgeMs: atLeast(1),
      maxBytes: atLeast(0),
      onOverflow: oneOf('drop-oldest', 'close'),
    });
    this.#maxSize = options.maxSize ?? MAX_SIZE;
    this.#maxAgeMs = options.maxAgeMs ?? MAX_AGE_MS;
    this.#maxBytes = options.maxBytes ?? Infinity;
    this.#closesOnOverflow = options.onOverflow === 'close';
    this.#sizeOf = options.sizeOf ?? messageBytes;
    this.#clock = clock;
    if (options.name !== undefined) registerQueue(options.name, this);
  }

  /** True after an overflow of a queue with `onOverflow: 'close'`. Its connection should be closed. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Milliseconds since the oldest message was queued; 0 for an empty queue. */
  get oldestAgeMs(): number {
    const oldest = this.#messages[this.#first];
    return oldest === undefined ? 0 : this.#clock.nowMs() - oldest.queuedAtMs;
  }

  /** Adds a message. Returns false when this message was not queued. */
  queue(message: T): boolean {
    this.cleanup();
    const bytes = this.#sizeOf(message);
    if (this.#isClosed || bytes > this.#maxBytes || this.#maxSize < 1) return this.#refuse();
    while (this.#length >= this.#maxSize || this.#bytes + bytes > this.#maxBytes) {
      if (this.#closesOnOverflow) return this.#refuse();
      this.#shift();
      this.#countDropped(1);
    }
    this.#messages.push({ message, bytes, queuedAtMs: this.#clock.nowMs() });
    this.#bytes += bytes;
    return true;
  }

  /** Removes and returns the oldest message that is not too old; undefined when there is none. */
  dequeue(): T | undefined {
    this.cleanup();
    return this.#length === 0 ? undefined : this.#shift().message;
  }

  /** Drops the messages older than `maxAgeMs`. Returns their number. `queue` and `dequeue` do this too. */
  cleanup(): number {
    const oldestMs = this.#clock.nowMs() - this.#maxAgeMs;
    let dropped = 0;
    while (this.#length > 0 && this.#messages[this.#first]!.queuedAtMs < oldestMs) {
      this.#shift();
      dropped += 1;
    }
    this.#countDropped(dropped);
    // A message that must arrive and has expired is lost like one that did not fit.
    if (dropped > 0 && this.#closesOnOverflow) this.#isClosed = true;
    return dropped;
  }

  getStats(): QueueStats {
    return {
      queued: this.#length,
      maxSize: this.#maxSize,
      totalDropped: this.#totalDropped,
      bytes: this.#bytes,
    };
  }

  get #length(): number {
    return this.#messages.length - this.#first;
  }

  #countDropped(count: number): void {
    this.#totalDropped += count;
    if (count > 0) countAction('BoundedMessageQueue', 'dropped', count);
  }

  #refuse(): false {
    this.#countDropped(1);
    if (this.#closesOnOverflow) this.#isClosed = true;
    return false;
  }

  #shift(): QueuedMessage<T> {
    const oldest = this.#messages[this.#first]!;
    this.#messages[this.#first] = undefined;
    this.#first += 1;
    this.#bytes -= oldest.bytes;
    if (this.#first >= MIN_REMOVED_BEFORE_CUT && this.#first * 2 >= this.#messages.length) {
      this.#messages = this.#messages.slice(this.#first);
      this.#first = 0;
    }
    return oldest;
  }
}

/** Ends the registration of a queue that was garbage collected. */
const registrations = new FinalizationRegistry<Dispose>((dispose) => dispose());

/** The agent gets the queue through a weak reference, so that a queue that nobody uses any more can be freed. */
function registerQueue<T>(name: string, queue: BoundedMessageQueue<T>): void {
  const weak = new WeakRef(queue);
  const dispose = registerWithAgent((agent) =>
    agent.watchQueue(name, () => weak.deref()?.getStats().queued ?? 0, {
      oldestAgeMs: () => weak.deref()?.oldestAgeMs ?? 0,
    }),
  );
  registrations.register(queue, dispose);
}
