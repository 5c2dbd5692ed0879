/** `fanout`: sends messages to the connections of all processes through Redis, with one subscriber in each process. */
import { createClock } from '../core/clock.ts';
import { remedyList } from '../core/remedy-list.ts';
import type { Clock } from '../types/index.ts';
import { countAction, registerWithAgent, uniqueName } from './agent-registration.ts';
import { callSafely } from './call-safely.ts';
import { emitterOf, KeySubscriptions, type FanoutConnection } from './key-subscriptions.ts';
import { checkMethods, checkOptions, TEXT } from './options.ts';
import { createSubscriber, type RedisClientLike, type Subscriber } from './redis-clients.ts';
import { safeSend } from './safe-send.ts';
import type { WebSocketLike } from './types.ts';

export interface FanoutMessage {
  readonly key: string;
  /** The W3C trace context that the publisher gave; null without one. */
  readonly traceparent: string | null;
  /** From `publish` to here, by the clocks of the two hosts; never below 0. */
  readonly lagMs: number;
}

export interface FanoutOptions {
  /** Prefix of the Redis channels: a key has the channel `<prefix>:<key>`. Default `ws:fanout`. */
  readonly channel?: string;
  /** Delivers a message to one connection. Default: `safeSend` for a WebSocket, `emit('message', ...)` for Socket.IO. */
  deliver?(this: void, connection: FanoutConnection, message: string, context: FanoutMessage): void;
  /** Called when Redis refuses a command or the connection fails. Default: the failure only counts in `stats()`. */
  onError?(this: void, error: unknown): void;
}

export interface FanoutStats {
  /** Keys with at least one connection. Each is one Redis subscription. */
  readonly keys: number;
  readonly connections: number;
  readonly published: number;
  readonly received: number;
  readonly delivered: number;
  readonly errors: number;
  /** Lag of the last message; null before the first. */
  readonly lastLagMs: number | null;
}

export interface Fanout {
  /** Adds the connection to a key. It is removed from all its keys when it closes. */
  subscribe(key: string, connection: FanoutConnection): void;
  unsubscribe(key: string, connection: FanoutConnection): void;
  /** Resolves when Redis has the message. Rejects as the Redis client does. */
  publish(key: string, message: string, options?: { readonly traceparent?: string }): Promise<void>;
  stats(): FanoutStats;
  /** Ends the subscriber. The given client stays open. */
  close(): void;
}

const CHANNEL = 'ws:fanout';

/** The message on the wire. */
interface Envelope {
  readonly sentAtMs: number;
  readonly traceparent?: string;
  readonly message: string;
}

/** `redisClient` is a connected client of `redis` or `ioredis`; it publishes, and a duplicate of it subscribes. */
export function fanout(
  redisClient: RedisClientLike,
  options: FanoutOptions = {},
  clock: Clock = createClock(),
): Fanout {
  checkMethods('fanout', 'a client of redis or ioredis', redisClient, ['duplicate', 'publish']);
  checkOptions('fanout', options, { channel: TEXT });
  const { channel: prefix = CHANNEL, deliver = deliverByKind, onError } = options;
  const counts = { published: 0, received: 0, delivered: 0, errors: 0, lastLagMs: null as number | null };
  const subscriber = createSubscriber(redisClient, {
    onMessage: receive,
    onError: countError,
    onReady: () => channels.retryFailed(),
  });
  const channels = new ChannelSubscriptions(subscriber, countError);
  const keys = new KeySubscriptions((key, isUsed) => channels.set(`${prefix}:${key}`, isUsed));
  const name = uniqueName('fanout');
  const unregister = registerWithAgent((agent) => agent.watchRooms(name, keys.connectionsByKey));

  function countError(error: unknown): void {
    counts.errors += 1;
    countAction('fanout', 'error');
    if (onError !== undefined) callSafely('fanout onError', () => onError(error));
  }
  function receive(channel: string, text: string): void {
    const key = channel.slice(prefix.length + 1);
    const connections = keys.connectionsByKey.get(key);
    const envelope = parseEnvelope(text);
    if (connections === undefined || envelope === null) return;
    counts.received += 1;
    const lagMs = Math.max(0, clock.wallMs() - envelope.sentAtMs);
    counts.lastLagMs = lagMs;
    remedyList().fanoutLag.add(lagMs / 1_000);
    const context = { key, traceparent: envelope.traceparent ?? null, lagMs };
    for (const connection of connections) {
      callSafely('fanout deliver', () => deliver(connection, envelope.message, context));
      counts.delivered += 1;
    }
  }
  return {
    subscribe: (key, connection) => keys.add(key, connection),
    unsubscribe: (key, connection) => keys.remove(key, connection),
    async publish(key, message, { traceparent } = {}) {
      const envelope: Envelope = { sentAtMs: clock.wallMs(), message, ...(traceparent && { traceparent }) };
      await redisClient.publish(`${prefix}:${key}`, JSON.stringify(envelope));
      counts.published += 1;
    },
    stats: () => ({
      keys: keys.connectionsByKey.size,
      connections: keys.connections,
      ...counts,
    }),
    close() {
      unregister();
      keys.clear();
      channels.stop();
      subscriber.close();
    },
  };
}

function deliverByKind(connection: FanoutConnection, message: string): void {
  const emitter = emitterOf(connection);
  if ('bufferedAmount' in emitter) safeSend(emitter as WebSocketLike, message);
  else emitter.emit('message', message);
}

/** Anything may publish to a Redis channel, so the content is checked. */
function parseEnvelope(text: string): Envelope | null {
  try {
    const { sentAtMs, message, traceparent } = JSON.parse(text) as Partial<Envelope>;
    if (typeof sentAtMs !== 'number' || typeof message !== 'string') return null;
    return { sentAtMs, message, ...(typeof traceparent === 'string' && { traceparent }) };
  } catch {
    return null;
  }
}

/** Brings the subscriptions of Redis to the wanted state, one command at a time for each channel. */
class ChannelSubscriptions {
  readonly #subscriber: Subscriber;
  readonly #onError: (error: unknown) => void;
  readonly #wanted = new Map<string, boolean>();
  readonly #busy = new Set<string>();
  /** Redis refused or did not answer the last command for these. True: the channel should be subscribed. */
  readonly #failed = new Map<string, boolean>();
  #isStopped = false;

  constructor(subscriber: Subscriber, onError: (error: unknown) => void) {
    this.#subscriber = subscriber;
    this.#onError = onError;
  }

  set(channel: string, isWanted: boolean): void {
    this.#failed.delete(channel);
    this.#wanted.set(channel, isWanted);
    if (!this.#busy.has(channel)) void this.#reconcile(channel);
  }

  /** ioredis gives up a command after some attempts to connect, long before it gives up connecting. */
  retryFailed(): void {
    for (const [channel, isWanted] of [...this.#failed]) this.set(channel, isWanted);
  }

  stop(): void {
    this.#isStopped = true;
    this.#wanted.clear();
    this.#failed.clear();
  }

  /** A key that gets its first connection while it is being unsubscribed is subscribed again afterwards. */
  async #reconcile(channel: string): Promise<void> {
    this.#busy.add(channel);
    for (
      let isWanted = this.#wanted.get(channel);
      isWanted !== undefined;
      isWanted = this.#wanted.get(channel)
    ) {
      this.#wanted.delete(channel);
      try {
        await (isWanted ? this.#subscriber.subscribe(channel) : this.#subscriber.unsubscribe(channel));
      } catch (error) {
        if (this.#isStopped) break;
        if (!this.#wanted.has(channel)) this.#failed.set(channel, isWanted);
        this.#onError(error);
      }
    }
    this.#busy.delete(channel);
  }
}
