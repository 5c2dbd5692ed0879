/** `sseHeartbeat`: keeps an event stream busy with comment lines, and ends it when the client no longer reads. */
import type { Server, ServerResponse } from 'node:http';
import { createClock } from '../core/clock.ts';
import type { Clock, Dispose } from '../types/index.ts';
import { countAction, registerOnce } from './agent-registration.ts';
import { callSafely } from './call-safely.ts';
import { atLeast, checkMethods, checkOptions, TIMER } from './options.ts';

export interface SseHeartbeatOptions {
  /** Time between two comment lines. Default 30,000: proxies end a stream that is silent for 60 s. */
  readonly intervalMs?: number;
  /** A stream whose pending writes did not shrink for this long is destroyed. Default 60,000. */
  readonly stalledAfterMs?: number;
  /** Called before the stream is destroyed. */
  onDead?(this: void, response: ServerResponse): void;
}

const INTERVAL_MS = 30_000;
const STALLED_AFTER_MS = 60_000;
/** A line that starts with a colon is a comment: `EventSource` ignores it. */
const COMMENT = ':\n\n';

/** The open event streams by server, for `drain`. */
const streamsByServer = new WeakMap<object, Set<ServerResponse>>();
let openStreams = 0;

export const eventStreamsOf = (server: Server): ReadonlySet<ServerResponse> =>
  streamsByServer.get(server) ?? new Set<ServerResponse>();

/**
 * The client of a vanished network shows itself only by bytes that nobody acknowledges, so something must be written.
 * The kernel of this host takes up to 4 MB before writes wait; until then only TCP's own timeout ends such a stream.
 */
export function sseHeartbeat(
  response: ServerResponse,
  options: SseHeartbeatOptions = {},
  clock: Clock = createClock(),
): Dispose {
  checkMethods('sseHeartbeat', 'a ServerResponse', response, ['write', 'destroy']);
  checkOptions('sseHeartbeat', options, { intervalMs: TIMER, stalledAfterMs: atLeast(1) });
  registerOnce('sseHeartbeat', (agent) => agent.watchRegistry('sseHeartbeat', () => openStreams));
  const { intervalMs = INTERVAL_MS, stalledAfterMs = STALLED_AFTER_MS, onDead } = options;
  let pendingBytes = 0;
  let shrunkAtMs = clock.nowMs();
  let isStopped = false;

  function beat(): void {
    const nowMs = clock.nowMs();
    if (response.writableLength === 0 || response.writableLength < pendingBytes) shrunkAtMs = nowMs;
    pendingBytes = response.writableLength;
    if (nowMs - shrunkAtMs > stalledAfterMs) return end();
    // A comment on top of pending writes proves nothing and takes memory.
    if (pendingBytes === 0 && !response.writableEnded) response.write(COMMENT);
  }
  function end(): void {
    stop();
    countAction('sseHeartbeat', 'destroyed');
    if (onDead !== undefined) callSafely('sseHeartbeat onDead', () => onDead(response));
    response.destroy();
  }
  function stop(): void {
    if (isStopped) return;
    isStopped = true;
    openStreams -= 1;
    stopTimer();
    response.off('close', stop);
    streams?.delete(response);
  }

  const streams = streamsOf(response);
  openStreams += 1;
  const stopTimer = clock.every(intervalMs, beat);
  if (response.destroyed || response.closed) stop();
  else response.on('close', stop);
  return stop;
}

function streamsOf(response: ServerResponse): Set<ServerResponse> | null {
  // Node sets `server` on each socket that a server accepts.
  const { server } = (response.socket ?? {}) as { server?: object };
  if (server === undefined) return null;
  const streams = streamsByServer.get(server) ?? new Set();
  streamsByServer.set(server, streams.add(response));
  return streams;
}
