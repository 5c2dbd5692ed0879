/**
 * `@wsguard/agent/remedy`: parts that keep a realtime server from leaking. Each is usable alone, with or without the agent,
 * and loads no package. docs/remedies.md describes them with examples.
 */
export { BoundedMessageQueue } from './bounded-message-queue.ts';
export type { BoundedMessageQueueOptions, QueueStats } from './bounded-message-queue.ts';
export { claimInRedis } from './claim-in-redis.ts';
export type { RedisClaimOptions, RedisSetLike } from './claim-in-redis.ts';
export { ConnectionRegistry } from './connection-registry.ts';
export type { Connection, ConnectionRegistryOptions, RegistryStats } from './connection-registry.ts';
export { drain } from './drain.ts';
export type { DrainOptions, DrainResult, DrainTarget } from './drain.ts';
export { fanout } from './fanout.ts';
export type { Fanout, FanoutMessage, FanoutOptions, FanoutStats } from './fanout.ts';
export type { FanoutConnection } from './key-subscriptions.ts';
export { heartbeat } from './heartbeat.ts';
export type { HeartbeatOptions } from './heartbeat.ts';
export { memoryGuard } from './memory-guard.ts';
export type { ExitAdvice, MemoryGuardOptions, MemoryPressure } from './memory-guard.ts';
export { memorySafeServer } from './memory-safe-server.ts';
export type {
  MemorySafeServer,
  MemorySafeServerOptions,
  MemorySafeServerStats,
} from './memory-safe-server.ts';
export type { RedisClientLike } from './redis-clients.ts';
export { Rooms } from './rooms.ts';
export type { RoomMember } from './rooms.ts';
export { safeSend } from './safe-send.ts';
export type { SafeSendOptions, SendOutcome } from './safe-send.ts';
export { scopedListeners } from './scoped-listeners.ts';
export type { ScopedListeners } from './scoped-listeners.ts';
export { sseHeartbeat } from './sse-heartbeat.ts';
export type { SseHeartbeatOptions } from './sse-heartbeat.ts';
export type {
  Message,
  SocketIoServerLike,
  WebSocketLike,
  WebSocketList,
  WebSocketServerLike,
} from './types.ts';
export type { Dispose } from '../types/index.ts';
