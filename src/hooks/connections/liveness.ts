import { NEVER, type Answering, type Connection } from './connection.ts';

/** The ping rules of docs/architecture.md, with the time scale already applied. */
export interface LivenessRules {
  readonly pings: boolean;
  /** Silent for so long: asked, if it may be. */
  readonly silentMs: number;
  readonly askEveryMs: number;
  readonly askEveryUnderSuspicionMs: number;
  /** Asked, and nothing came back for so long: no answer. */
  readonly answerWithinMs: number;
  /** The application's pings are a heartbeat while the last is no older. */
  readonly heartbeatWithinMs: number;
}

const MINUTE_MS = 60_000;
/** A round trip does not scale with the clock of a test. */
const SHORTEST_ANSWER_MS = 2_000;

export function livenessRules(config: { timeScale: number; ping: 'auto' | 'off' }): LivenessRules {
  const minutes = (count: number): number => (count * MINUTE_MS) / config.timeScale;
  return {
    pings: config.ping === 'auto',
    silentMs: minutes(3),
    askEveryMs: minutes(5),
    askEveryUnderSuspicionMs: minutes(1),
    answerWithinMs: Math.max(minutes(1), SHORTEST_ANSWER_MS),
    heartbeatWithinMs: minutes(10),
  };
}

/** What one look at a socket shows. */
export interface Signs {
  readonly bytesRead: number;
  readonly waitingBytes: number;
  /** Bytes that the kernel took; read only while something waits or has just waited. */
  readonly takenBytes: number;
}

/** Bytes that came back prove life, whoever asked; bytes that the kernel took while others waited prove a reader. */
export function hear(connection: Connection, signs: Signs, nowMs: number): void {
  if (signs.bytesRead !== connection.bytesRead) {
    connection.bytesRead = signs.bytesRead;
    connection.heardAtMs = nowMs;
    connection.askedAtMs = NEVER;
    connection.retransmitting = false;
  }
  const waitedBefore = connection.waitingBytes > 0;
  connection.waitingBytes = signs.waitingBytes;
  if (!waitedBefore && signs.waitingBytes === 0) {
    connection.takenAtMs = nowMs;
    return;
  }
  const { takenBytes } = signs;
  if (takenBytes === connection.takenBytes && signs.waitingBytes > 0) return;
  // An ask stands in the same queue: its time runs anew while the queue moves.
  if (waitedBefore && connection.askedAtMs !== NEVER) connection.askedAtMs = nowMs;
  connection.takenBytes = takenBytes;
  connection.takenAtMs = nowMs;
  connection.waitingAtTakenBytes = signs.waitingBytes;
}

/** What may be asked of this connection, and what keeps it from answering, at this moment. */
export interface Askable {
  /** The rules of docs/architecture.md allow a ping of the agent; the schedule is checked elsewhere. */
  readonly byUs: boolean;
  /** The application has stopped reading: silence is its own doing. */
  readonly paused: boolean;
  /** The peer has ended its side of an upgraded connection and the server keeps its own open. */
  readonly hungUp: boolean;
}

export function judge(connection: Connection, askable: Askable, rules: LivenessRules, time: Time): Answering {
  const { nowMs } = time;
  if (connection.retransmitting || askable.hungUp) return 'no';
  if (connection.askedAtMs !== NEVER && !askable.paused) {
    const sinceMs = Math.max(connection.askedAtMs, time.stalledUntilMs);
    if (nowMs - sinceMs > rules.answerWithinMs) return 'no';
  }
  const asks = askable.byUs || isHeartbeat(connection, rules, nowMs);
  if (!asks && isStuck(connection, rules, nowMs)) return 'no';
  if (connection.transport === 'sse') return 'unknown';
  if (nowMs - connection.heardAtMs <= rules.silentMs) return 'yes';
  return asks && !askable.paused ? 'yes' : 'unknown';
}

export interface Time {
  readonly nowMs: number;
  /** The end of our own last stall: no peer is blamed for an answer that we did not read. */
  readonly stalledUntilMs: number;
}

export const isHeartbeat = (connection: Connection, rules: LivenessRules, nowMs: number): boolean =>
  connection.appPingedAtMs !== NEVER && nowMs - connection.appPingedAtMs <= rules.heartbeatWithinMs;

/** Write evidence, the only kind there is of a peer that is never asked: its queue grows and none of it goes out. */
const isStuck = (connection: Connection, rules: LivenessRules, nowMs: number): boolean =>
  connection.waitingBytes > connection.waitingAtTakenBytes && nowMs - connection.takenAtMs > rules.silentMs;

/** More than this waits, and the peer still reads. */
const SLOW_BYTES = 64 * 1024;
export const isSlow = (connection: Connection, rules: LivenessRules, nowMs: number): boolean =>
  connection.waitingBytes > SLOW_BYTES &&
  connection.answering !== 'no' &&
  nowMs - connection.takenAtMs <= rules.silentMs;

export const isSilent = (connection: Connection, rules: LivenessRules, nowMs: number): boolean =>
  nowMs - connection.heardAtMs >= rules.silentMs;

/** Is our own ping to this silent connection due? Who may be asked at all was decided before. */
export function isAskDue(connection: Connection, rules: LivenessRules, round: AskRound): boolean {
  const { nowMs } = round;
  const sinceAskMs = connection.pingedAtMs === NEVER ? Infinity : nowMs - connection.pingedAtMs;
  if (round.everybody) return connection.askedAtMs === NEVER;
  return sinceAskMs >= rules.askEveryMs || (round.sampled && sinceAskMs >= rules.askEveryUnderSuspicionMs);
}

export interface AskRound {
  readonly nowMs: number;
  /** Before an alert opens. */
  readonly everybody: boolean;
  /** Under suspicion, and this one is in the sample. */
  readonly sampled: boolean;
}
