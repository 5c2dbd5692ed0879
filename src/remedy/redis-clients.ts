/** One interface for the subscriber and publisher of `redis` (4 and later) and `ioredis`. */
import type { EventEmitter } from 'node:events';

/** The members of a client of `redis` or `ioredis` that `fanout` uses. */
export interface RedisClientLike extends EventEmitter {
  duplicate(): unknown;
  publish(channel: string, message: string): Promise<unknown>;
}

export interface Subscriber {
  subscribe(channel: string): Promise<void>;
  unsubscribe(channel: string): Promise<void>;
  close(): void;
}

interface IoRedisSubscriber extends EventEmitter {
  subscribe(channel: string): Promise<unknown>;
  unsubscribe(channel: string): Promise<unknown>;
  disconnect(): void;
}

interface NodeRedisSubscriber extends EventEmitter {
  connect(): Promise<unknown>;
  subscribe(channel: string, listener: (message: string, channel: string) => void): Promise<unknown>;
  unsubscribe(channel: string): Promise<unknown>;
  destroy?(): void;
  disconnect?(): Promise<unknown>;
}

type OnMessage = (channel: string, message: string) => void;

interface SubscriberEvents {
  readonly onMessage: OnMessage;
  readonly onError: (error: unknown) => void;
  /** The connection is open, at first or again. */
  readonly onReady: () => void;
}

/** A subscribed Redis connection can do nothing else, so the subscriber is a second connection of the same settings. */
export function createSubscriber(
  client: RedisClientLike,
  { onMessage, onError, onReady }: SubscriberEvents,
): Subscriber {
  const duplicate = client.duplicate() as EventEmitter;
  // Without a listener an `error` of the connection would end the process. Both clients connect again by themselves, and
  // subscribe again to their channels.
  duplicate.on('error', onError);
  duplicate.on('ready', onReady);
  return isNodeRedis(client)
    ? nodeRedisSubscriber(duplicate as NodeRedisSubscriber, onMessage, onError)
    : ioRedisSubscriber(duplicate as IoRedisSubscriber, onMessage);
}

/** Only `redis` has `isOpen`; only ioredis has `status`. */
export const isNodeRedis = (client: object): boolean => 'isOpen' in client;

function ioRedisSubscriber(redis: IoRedisSubscriber, onMessage: OnMessage): Subscriber {
  redis.on('message', onMessage);
  return {
    subscribe: async (channel) => void (await redis.subscribe(channel)),
    unsubscribe: async (channel) => void (await redis.unsubscribe(channel)),
    close: () => redis.disconnect(),
  };
}

function nodeRedisSubscriber(
  redis: NodeRedisSubscriber,
  onMessage: OnMessage,
  onError: (error: unknown) => void,
): Subscriber {
  const listener = (message: string, channel: string): void => onMessage(channel, message);
  const connected = redis.connect();
  connected.catch(onError);
  return {
    subscribe: async (channel) => {
      await connected;
      await redis.subscribe(channel, listener);
    },
    unsubscribe: async (channel) => {
      await connected;
      await redis.unsubscribe(channel);
    },
    close() {
      // Version 5 has `destroy`, version 4 only `disconnect`. Both end the connection without waiting for replies.
      if (redis.destroy !== undefined) redis.destroy();
      else redis.disconnect?.().catch(() => undefined);
    },
  };
}
