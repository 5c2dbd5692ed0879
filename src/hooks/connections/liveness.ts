/** Decides from numbers alone whether a peer is responsive, slow or silent, and whether the agent may ping it. */
import { NEVER, type Connection, type Liveness, type ProbeGroup, type SocketReading } from './connection.ts';

/** Times of the ping rules in docs/architecture.md, with the time scale applied. */
export interface LivenessRules {
  readonly pings: boolean;
  /** A peer from which nothing came for this long is silent. */
  readonly silentAfterMs: number;
  readonly pingEveryMs: number;
  readonly pingEveryUnderSuspicionMs: number;
  /** A ping without a reply for this long makes the peer unresponsive. */
  readonly replyWithinMs: number;
  /** The application's pings count as a heartbeat while the last one is not older than this. */
  readonly heartbeatWithinMs: number;
  /** An unresponsive peer that has been silent for longer is lost: timeouts of TCP and of applications are shorter. */
  readonly lostAfterMs: number;
}

const MINUTE_MS = 60_000;
/** A round trip does not become faster with WSGUARD_TIME_SCALE. */
const MIN_REPLY_WITHIN_MS = 2_000;

export function livenessRules(config: { timeScale: number; ping: 'auto' | 'off' }): LivenessRules {
  const minutes = (count: number): number => (count * MINUTE_MS) / config.timeScale;
  return {
    pings: config.ping === 'auto',
    silentAfterMs: minutes(3),
    pingEveryMs: minutes(5),
    pingEveryUnderSuspicionMs: minutes(1),
    replyWithinMs: Math.max(minutes(1), MIN_REPLY_WITHIN_MS),
    heartbeatWithinMs: minutes(10),
    lostAfterMs: minutes(35),
  };
}

/**
 * Notes what a reading of the socket proves. Bytes from the peer prove that it lives, whoever pinged. Bytes that the
 * kernel accepted while others waited prove that the peer reads.
 */
export function applyReading(connection: Connection, reading: SocketReading, nowMs: number): void {
  if (reading.bytesRead !== connection.bytesRead) {
    if (connection.liveness === 'unresponsive')
      connection.longestSilenceMs = Math.max(connection.longestSilenceMs, nowMs - connection.receivedAtMs);
    connection.bytesRead = reading.bytesRead;
    connection.receivedAtMs = nowMs;
    connection.unansweredPingAtMs = NEVER;
    connection.isPeerLost = false;
  }
  const hadSendBuffer = connection.sendBufferBytes > 0;
  connection.sendBufferBytes = reading.sendBufferBytes;
  if (!hadSendBuffer && reading.sendBufferBytes === 0) {
    connection.noteEmptySendBuffer(nowMs);
    return;
  }
  if (connection.flushedAtMs === NEVER) connection.flushedAtMs = nowMs;
  const { flushedBytes } = reading;
  if (flushedBytes === connection.flushedBytes && reading.sendBufferBytes > 0) return;
  // A ping waits in the same queue. Its time starts again while the queue moves.
  if (hadSendBuffer && connection.unansweredPingAtMs !== NEVER) connection.unansweredPingAtMs = nowMs;
  connection.flushedBytes = flushedBytes;
  connection.flushedAtMs = nowMs;
  connection.sendBufferAtFlushBytes = reading.sendBufferBytes;
}

/**
 * When the agent may ping a silent connection. `suspicion`: never on the schedule, because the application listens for
 * pongs, or because the agent does not see whether it pings.
 */
export type PingPolicy = 'schedule' | 'suspicion' | 'never';

/** State of a connection that decides whether it can be probed, and what its silence means. */
export interface ProbeState {
  readonly pings: PingPolicy;
  /** Half a heartbeat: the application listens for pongs and has never sent a ping. */
  readonly isHalfHeartbeat: boolean;
  /** Why `pings` is `never`; null where another reason holds. */
  readonly obstacle: 'no-ping' | 'timeout' | null;
  /** The application has stopped reading, so it receives no reply. */
  readonly isPaused: boolean;
  /** The peer has ended its side of an upgraded connection, and the server keeps its own side open. */
  readonly hasPeerEnded: boolean;
}

export interface LivenessTime {
  readonly nowMs: number;
  /** End of the last stall of this event loop: replies that arrived during a stall are not read yet. */
  readonly stalledUntilMs: number;
}

export function evaluateLiveness(
  connection: Connection,
  probe: ProbeState,
  rules: LivenessRules,
  { nowMs, stalledUntilMs }: LivenessTime,
): Liveness {
  if (connection.isPeerLost || probe.hasPeerEnded) return 'unresponsive';
  if (connection.unansweredPingAtMs !== NEVER && !probe.isPaused) {
    const sinceMs = Math.max(connection.unansweredPingAtMs, stalledUntilMs);
    if (nowMs - sinceMs > rules.replyWithinMs) return 'unresponsive';
  }
  const isProbed =
    probe.pings === 'schedule' ||
    hasHeartbeat(connection, rules, nowMs) ||
    (probe.pings === 'suspicion' && hasRecentProbe(connection, rules, nowMs));
  if (!isProbed && isSendStuck(connection, rules, nowMs)) return 'unresponsive';
  if (connection.transport === 'sse') return 'unknown';
  if (nowMs - connection.receivedAtMs <= rules.silentAfterMs) return 'responsive';
  return isProbed && !probe.isPaused ? 'responsive' : 'unknown';
}

export const hasHeartbeat = (connection: Connection, rules: LivenessRules, nowMs: number): boolean =>
  connection.appPingAtMs !== NEVER && nowMs - connection.appPingAtMs <= rules.heartbeatWithinMs;

/** A peer that replied to the agent's last ping counts as responsive until the next one may be sent. */
const hasRecentProbe = ({ agentPingAtMs }: Connection, rules: LivenessRules, nowMs: number): boolean =>
  agentPingAtMs !== NEVER && nowMs - agentPingAtMs <= rules.pingEveryMs + rules.replyWithinMs;

/** Call it after the liveness is set. */
export function probeGroupOf(
  connection: Connection,
  { pings, isHalfHeartbeat, obstacle }: ProbeState,
  rules: LivenessRules,
  nowMs: number,
): ProbeGroup {
  if (obstacle !== null) return obstacle;
  if (pings !== 'suspicion') return 'scheduled';
  if (connection.liveness === 'unresponsive') return isHalfHeartbeat ? 'half-heartbeat' : 'unresponsive';
  return hasRecentProbe(connection, rules, nowMs) ? 'probed' : 'waiting';
}

/** For a peer that nobody pings, a send buffer that grows while nothing leaves it is the only sign. */
const isSendStuck = (connection: Connection, rules: LivenessRules, nowMs: number): boolean =>
  connection.sendBufferBytes > connection.sendBufferAtFlushBytes &&
  nowMs - connection.flushedAtMs > rules.silentAfterMs;

/** Send buffer above which a connection counts as slow: 64 KiB. */
const MIN_SLOW_BYTES = 64 * 1024;

/** True when the peer still reads, and its send buffer is larger than that. */
export const isSlow = (connection: Connection, rules: LivenessRules, nowMs: number): boolean =>
  connection.sendBufferBytes > MIN_SLOW_BYTES &&
  connection.liveness !== 'unresponsive' &&
  nowMs - connection.flushedAtMs <= rules.silentAfterMs;

/** A mobile client that has slept before sleeps again. One that is silent for longer than this multiple may be gone. */
const MAX_SILENCES = 2;

/** True for an unresponsive peer that has been silent before for about as long, and came back. */
export const isAsleep = (connection: Connection, nowMs: number): boolean =>
  connection.liveness === 'unresponsive' &&
  connection.longestSilenceMs > 0 &&
  nowMs - connection.receivedAtMs <= MAX_SILENCES * connection.longestSilenceMs;

export const isLost = (connection: Connection, rules: LivenessRules, nowMs: number): boolean =>
  connection.liveness === 'unresponsive' &&
  nowMs - connection.receivedAtMs > rules.lostAfterMs &&
  !isAsleep(connection, nowMs);

export const isSilent = (connection: Connection, rules: LivenessRules, nowMs: number): boolean =>
  nowMs - connection.receivedAtMs >= rules.silentAfterMs;

export interface PingRound {
  readonly nowMs: number;
  /** Before an alert opens, every silent connection is pinged. */
  readonly everyone: boolean;
  /** Under suspicion, and this connection is in the sample. */
  readonly isSampled: boolean;
}

/** Whether this silent connection gets a ping now. The caller checks that it may be pinged at all. */
export function isPingDue(
  connection: Connection,
  policy: PingPolicy,
  rules: LivenessRules,
  round: PingRound,
): boolean {
  const hasReplied = connection.unansweredPingAtMs === NEVER;
  if (round.everyone) return hasReplied;
  const sincePingMs = connection.agentPingAtMs === NEVER ? Infinity : round.nowMs - connection.agentPingAtMs;
  if (policy === 'suspicion') return round.isSampled && hasReplied && sincePingMs >= rules.pingEveryMs;
  return (
    sincePingMs >= rules.pingEveryMs || (round.isSampled && sincePingMs >= rules.pingEveryUnderSuspicionMs)
  );
}
