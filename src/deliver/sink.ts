/** A receiver with an outbox: the webhook, the upload URL, the S3 bucket. */
import type { Clock, Delivery } from '../types/index.ts';
import { Outbox, type Attempt } from './outbox.ts';
import { OutboxFiles, type OutboxDirectory } from './outbox-files.ts';

export interface SinkOptions {
  readonly clock: Clock;
  readonly random?: () => number;
  /** Called after a failed attempt that will be repeated. */
  readonly onRetry?: (delivery: Delivery) => void;
  /** Null keeps pending items in memory only. */
  readonly outbox?: OutboxDirectory | null;
}

export interface Sink<T> {
  /** Resolves with the final outcome. */
  send(item: T): Promise<Delivery>;
  /** Continues with what earlier processes left in these folders; the outcome of each. */
  restore(endedFolders: readonly string[]): Promise<Delivery>[];
  /** Resolves when nothing is pending, or after `limitMs`. */
  idle(limitMs: number): Promise<void>;
  stop(): void;
}

interface SinkParts<T> {
  /** Name of the folder of pending items. */
  readonly name: string;
  readonly maxItems: number;
  /** Checks an item that was read from disk. */
  readonly isItem: (value: unknown) => value is T;
  readonly attempt: (item: T, save: (item: T) => void) => Promise<Attempt>;
}

export function createSink<T>(options: SinkOptions, parts: SinkParts<T>): Sink<T> {
  const { clock, random, onRetry, outbox: directory = null } = options;
  const { name, maxItems, attempt, isItem } = parts;
  const store = directory === null ? null : new OutboxFiles(directory, name, isItem);
  const outbox = new Outbox<T>({ clock, random, onRetry, maxItems, attempt, store });
  return {
    send: (item) => outbox.deliver(item),
    restore: (endedFolders) => outbox.restore(endedFolders),
    idle: (limitMs) => outbox.idle(limitMs),
    stop: () => outbox.stop(),
  };
}
