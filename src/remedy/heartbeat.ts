/** `heartbeat`: pings the clients of a ws server and terminates those that stay silent. */
import { createClock } from '../core/clock.ts';
import type { Clock, Dispose } from '../types/index.ts';
import { countAction, registerWithAgent, uniqueName } from './agent-registration.ts';
import { callSafely } from './call-safely.ts';
import { atLeast, checkMethods, checkOptions, TIMER } from './options.ts';
import { CLOSED, OPEN, type WebSocketLike, type WebSocketServerLike } from './types.ts';

export interface HeartbeatOptions {
  /** Time between two pings. Default 30,000. */
  readonly intervalMs?: number;
  /**
   * A client that sent nothing for this long is terminated, whatever the pings say. It matters only when it is shorter
   * than two intervals. Default 75,000.
   */
  readonly idleTimeoutMs?: number;
  /** Called before the client is terminated. */
  onDead?(this: void, ws: WebSocketLike): void;
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
/** Each of these events proves that the peer is there. */
const RECEIVED_EVENTS = ['pong', 'message', 'ping'] as const;

/**
 * A client that does not reply to a ping within one interval is terminated, so a dead one lives two intervals at most.
 * Works with `clientTracking: false`. The timer does not keep the process alive.
 */
export function heartbeat(
  wss: WebSocketServerLike,
  options: HeartbeatOptions = {},
  clock: Clock = createClock(),
): Dispose {
  checkMethods('heartbeat', 'a WebSocketServer', wss, ['on', 'off']);
  checkOptions('heartbeat', options, { intervalMs: TIMER, idleTimeoutMs: atLeast(1) });
  const { intervalMs = INTERVAL_MS } = options;
  const sweeper = new Sweeper({ ...options, intervalMs }, clock);
  const add = (ws: WebSocketLike): void => sweeper.add(ws);
  for (const ws of wss.clients ?? []) add(ws);
  wss.on('connection', add);
  const stopTimer = clock.every(intervalMs, () => sweeper.sweep());
  const name = uniqueName('heartbeat');
  const unregister = registerWithAgent((agent) => agent.watchRegistry(name, () => sweeper.size));
  return () => {
    stopTimer();
    unregister();
    wss.off('connection', add);
    sweeper.clear();
  };
}

class Sweeper {
  readonly #options: HeartbeatOptions & { readonly intervalMs: number };
  readonly #clock: Clock;
  readonly #peers = new Map<WebSocketLike, Peer>();
  #lastSweepMs: number;

  constructor(options: HeartbeatOptions & { readonly intervalMs: number }, clock: Clock) {
    this.#options = options;
    this.#clock = clock;
    this.#lastSweepMs = clock.nowMs();
  }

  get size(): number {
    return this.#peers.size;
  }

  add(ws: WebSocketLike): void {
    if (this.#peers.has(ws)) return;
    const onReceived = (): void => {
      peer.isAlive = true;
      peer.lastSeenMs = this.#clock.nowMs();
    };
    const onClose = (): void => this.#remove(ws);
    const stop = (): void => {
      for (const event of RECEIVED_EVENTS) ws.off(event, onReceived);
      ws.off('close', onClose);
    };
    const peer: Peer = { isAlive: true, lastSeenMs: this.#clock.nowMs(), stop };
    for (const event of RECEIVED_EVENTS) ws.on(event, onReceived);
    ws.on('close', onClose);
    this.#peers.set(ws, peer);
  }

  sweep(): void {
    const { intervalMs, idleTimeoutMs = IDLE_TIMEOUT_MS } = this.#options;
    const nowMs = this.#clock.nowMs();
    const lateMs = nowMs - this.#lastSweepMs - intervalMs;
    this.#lastSweepMs = nowMs;
    // After a blocked event loop the timers run before the sockets are read. The pongs may be waiting in the kernel.
    const isBlocked = lateMs > intervalMs * MAX_LATE_SHARE;
    for (const [ws, peer] of this.#peers) {
      // Its `close` did not arrive: the application called `removeAllListeners()`.
      if (ws.readyState === CLOSED) {
        this.#remove(ws);
        continue;
      }
      // A paused WebSocket does not emit `pong`.
      const isUnknown = isBlocked || ws.isPaused === true;
      const isIdle = nowMs - peer.lastSeenMs > idleTimeoutMs;
      if (!isUnknown && (!peer.isAlive || isIdle)) this.#end(ws);
      else if (ws.readyState === OPEN) {
        peer.isAlive = false;
        callSafely('heartbeat', () => ws.ping());
      }
    }
  }

  clear(): void {
    for (const ws of this.#peers.keys()) this.#remove(ws);
  }

  #remove(ws: WebSocketLike): void {
    this.#peers.get(ws)?.stop();
    this.#peers.delete(ws);
  }

  #end(ws: WebSocketLike): void {
    const { onDead } = this.#options;
    this.#remove(ws);
    countAction('heartbeat', 'terminated');
    if (onDead !== undefined) callSafely('heartbeat onDead', () => onDead(ws));
    ws.terminate();
  }
}
