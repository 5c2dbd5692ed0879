/** `heartbeat`: pings the clients of a ws server and terminates those that stay silent. */
import { createClock } from '../core/clock.ts';
import type { Clock, Dispose } from '../types/index.ts';
import { countAction } from './agent-registration.ts';
import { callSafely } from './call-safely.ts';
import { OPEN, type WebSocketLike, type WebSocketServerLike } from './types.ts';

export interface HeartbeatOptions {
  /** Time between two pings. Default 30,000. */
  readonly intervalMs?: number;
  /**
   * A client that sent nothing for this long is terminated, whatever the pings say. It matters only when it is shorter
   * than two intervals. Default 75,000.
   */
  readonly idleTimeoutMs?: number;
  /** Called before the client is terminated. */
  readonly onDead?: (ws: WebSocketLike) => void;
}

interface Peer {
  /** True until the next ping is due: something arrived since the last ping. */
  isAlive: boolean;
  lastSeenMs: number;
  readonly stop: Dispose;
}

const INTERVAL_MS = 30_000;
const IDLE_TIMEOUT_MS = 75_000;
/** A timer that fires later than this share of the interval shows that the event loop was blocked. */
const MAX_LATE_SHARE = 0.5;

/**
 * A client that does not reply to a ping within one interval is terminated, so a dead one lives two intervals at most.
 * Works with `clientTracking: false`. The timer does not keep the process alive.
 */
export function heartbeat(
  wss: WebSocketServerLike,
  options: HeartbeatOptions = {},
  clock: Clock = createClock(),
): Dispose {
  const { intervalMs = INTERVAL_MS, idleTimeoutMs = IDLE_TIMEOUT_MS, onDead } = options;
  const peers = new Map<WebSocketLike, Peer>();
  let lastSweepMs = clock.nowMs();

  function add(ws: WebSocketLike): void {
    if (peers.has(ws)) return;
    const onReceived = (): void => {
      peer.isAlive = true;
      peer.lastSeenMs = clock.nowMs();
    };
    const onClose = (): void => remove(ws);
    const stop = (): void => {
      for (const event of RECEIVED_EVENTS) ws.off(event, onReceived);
      ws.off('close', onClose);
    };
    const peer: Peer = { isAlive: true, lastSeenMs: clock.nowMs(), stop };
    for (const event of RECEIVED_EVENTS) ws.on(event, onReceived);
    ws.on('close', onClose);
    peers.set(ws, peer);
  }
  function remove(ws: WebSocketLike): void {
    peers.get(ws)?.stop();
    peers.delete(ws);
  }

  function sweep(): void {
    const nowMs = clock.nowMs();
    const lateMs = nowMs - lastSweepMs - intervalMs;
    lastSweepMs = nowMs;
    // After a blocked event loop the timers run before the sockets are read. The pongs may be waiting in the kernel.
    const isBlocked = lateMs > intervalMs * MAX_LATE_SHARE;
    for (const [ws, peer] of peers) {
      // A paused WebSocket does not emit `pong`.
      if (ws.isPaused === true || isBlocked) peer.isAlive = true;
      const isIdle = nowMs - peer.lastSeenMs > idleTimeoutMs && !isBlocked && ws.isPaused !== true;
      if (!peer.isAlive || isIdle) end(ws);
      else if (ws.readyState === OPEN) {
        peer.isAlive = false;
        callSafely('heartbeat', () => ws.ping());
      }
    }
  }
  function end(ws: WebSocketLike): void {
    remove(ws);
    countAction('heartbeat', 'terminated');
    if (onDead !== undefined) callSafely('heartbeat onDead', () => onDead(ws));
    ws.terminate();
  }

  for (const ws of wss.clients ?? []) add(ws);
  wss.on('connection', add);
  const stopTimer = clock.every(intervalMs, sweep);
  return () => {
    stopTimer();
    wss.off('connection', add);
    for (const ws of peers.keys()) remove(ws);
  };
}

/** Each of these events proves that the peer is there. */
const RECEIVED_EVENTS = ['pong', 'message', 'ping'] as const;
