/** `claimInRedis`: a claim that one process of a fleet holds at a time, for the planned exit of `memoryGuard`. */
import { atLeast, checkMethods, checkOptions, TEXT } from './options.ts';
import { isNodeRedis } from './redis-clients.ts';

/** A connected client of `redis` (4 and later) or `ioredis`. */
export interface RedisSetLike {
  set(key: string, value: string, ...options: never[]): Promise<unknown>;
}

export interface RedisClaimOptions {
  /** The processes of one fleet use the same key. Default `wsguard:exit`. */
  readonly key?: string;
  /**
   * The claim ends by itself after this time, and the next process may take it. Set it to the time that a new process
   * needs until it serves. Default 60,000.
   */
  readonly ttlMs?: number;
}

const KEY = 'wsguard:exit';
const TTL_MS = 60_000;

/** Returns a function that resolves true when this process got the claim. It rejects as the Redis client does. */
export function claimInRedis(client: RedisSetLike, options: RedisClaimOptions = {}): () => Promise<boolean> {
  checkMethods('claimInRedis', 'a client of redis or ioredis', client, ['set']);
  checkOptions('claimInRedis', options, { key: TEXT, ttlMs: atLeast(1) });
  const { key = KEY, ttlMs = TTL_MS } = options;
  const set = client.set.bind(client) as (...values: unknown[]) => Promise<unknown>;
  const setOptions = isNodeRedis(client) ? [{ NX: true, PX: ttlMs }] : ['PX', ttlMs, 'NX'];
  return async () => (await set(key, String(process.pid), ...setOptions)) === 'OK';
}
