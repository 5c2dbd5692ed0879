import { NEVER, type Connection, type SocketReading } from '../../../src/hooks/connections/connection.ts';
import {
  applyReading,
  evaluateLiveness,
  hasHeartbeat,
  isPingDue,
  isSilent,
  isSlow,
  livenessRules,
  type PingRound,
  type ProbeState,
} from '../../../src/hooks/connections/liveness.ts';
import { connectionWith } from '../../support/connections.ts';

const MINUTE_MS = 60_000;
const rules = livenessRules({ timeScale: 1, ping: 'auto' });
const pingable: ProbeState = {
  pings: 'schedule',
  isHalfHeartbeat: false,
  obstacle: null,
  isPaused: false,
  hasPeerEnded: false,
};
const unpingable: ProbeState = { ...pingable, pings: 'never' };
const reading = (fields: Partial<SocketReading> = {}): SocketReading => ({
  bytesRead: 100,
  sendBufferBytes: 0,
  flushedBytes: 0,
  ...fields,
});
const timeAt = (minutes: number, stalledUntilMs = 0) => ({ nowMs: minutes * MINUTE_MS, stalledUntilMs });
const roundAt = (minutes: number, fields: Partial<PingRound> = {}): PingRound => ({
  nowMs: minutes * MINUTE_MS,
  everyone: false,
  isSampled: false,
  ...fields,
});

describe('evaluateLiveness', () => {
  test.each<[string, Partial<Connection>, ProbeState, number, Connection['liveness']]>([
    ['bytes arrived three minutes ago', {}, unpingable, 3, 'responsive'],
    ['silent for longer, the agent may ping', {}, pingable, 4, 'responsive'],
    ['silent for longer, the agent may not ping', {}, unpingable, 4, 'unknown'],
    ['pinged a minute ago', { unansweredPingAtMs: 4 * MINUTE_MS }, pingable, 5, 'responsive'],
    ['pinged more than a minute ago', { unansweredPingAtMs: 4 * MINUTE_MS }, pingable, 5.1, 'unresponsive'],
    [
      'pinged more than a minute ago by the application',
      { unansweredPingAtMs: 4 * MINUTE_MS, appPingAtMs: 5 * MINUTE_MS },
      unpingable,
      5.1,
      'unresponsive',
    ],
    ['silent, but the application pings', { appPingAtMs: 4 * MINUTE_MS }, unpingable, 5, 'responsive'],
    [
      'pinged, but the application does not read',
      { unansweredPingAtMs: 4 * MINUTE_MS },
      { ...pingable, isPaused: true },
      9,
      'unknown',
    ],
    ['a quiet event stream', { transport: 'sse' }, unpingable, 1, 'unknown'],
    [
      'an upgrade by another library that sends',
      { transport: 'upgraded', receivedAtMs: 8 * MINUTE_MS },
      unpingable,
      9,
      'responsive',
    ],
    ['a silent upgrade by another library', { transport: 'upgraded' }, unpingable, 9, 'unknown'],
    [
      'a peer that ended its side',
      { transport: 'upgraded', receivedAtMs: 9 * MINUTE_MS },
      { ...unpingable, hasPeerEnded: true },
      9,
      'unresponsive',
    ],
    [
      'bytes that the kernel retransmits',
      { transport: 'sse', isPeerLost: true },
      unpingable,
      1,
      'unresponsive',
    ],
    [
      'a send buffer that grows while nothing leaves it',
      { transport: 'sse', sendBufferBytes: 9, sendBufferAtFlushBytes: 5 },
      unpingable,
      4,
      'unresponsive',
    ],
    [
      'the same for less than three minutes',
      { transport: 'sse', sendBufferBytes: 9, sendBufferAtFlushBytes: 5 },
      unpingable,
      3,
      'unknown',
    ],
    [
      'a send buffer that does not grow',
      { transport: 'sse', sendBufferBytes: 5, sendBufferAtFlushBytes: 5 },
      unpingable,
      4,
      'unknown',
    ],
    [
      'a send buffer that grows on a connection that the agent may ping',
      { sendBufferBytes: 9, sendBufferAtFlushBytes: 5 },
      pingable,
      4,
      'responsive',
    ],
  ])('%s', (_case, ...[fields, probe, minutes, expected]) => {
    expect(evaluateLiveness(connectionWith(fields), probe, rules, timeAt(minutes))).toBe(expected);
  });

  test('a peer gets new time for its reply after the event loop was blocked', () => {
    const pinged = connectionWith({ unansweredPingAtMs: 4 * MINUTE_MS });
    const stalledUntilMs = 5.9 * MINUTE_MS;
    expect(evaluateLiveness(pinged, pingable, rules, timeAt(6, stalledUntilMs))).toBe('responsive');
    expect(evaluateLiveness(pinged, pingable, rules, timeAt(7, stalledUntilMs))).toBe('unresponsive');
  });
});

describe('applyReading', () => {
  test('new bytes prove that the peer is alive, whoever pinged', () => {
    const pinged = connectionWith({ unansweredPingAtMs: 5, isPeerLost: true });
    applyReading(pinged, reading({ bytesRead: 106 }), 1_000);
    expect(pinged).toMatchObject({
      bytesRead: 106,
      receivedAtMs: 1_000,
      unansweredPingAtMs: NEVER,
      isPeerLost: false,
    });
  });

  test('without new bytes the ping stays unanswered', () => {
    const pinged = connectionWith({ unansweredPingAtMs: 5 });
    applyReading(pinged, reading(), 1_000);
    expect(pinged).toMatchObject({ receivedAtMs: 0, unansweredPingAtMs: 5, flushedAtMs: 1_000 });
  });

  test('a send buffer that moves gives the ping in it new time', () => {
    const slow = connectionWith({ unansweredPingAtMs: 5, sendBufferBytes: 900, flushedBytes: 100 });
    applyReading(slow, reading({ sendBufferBytes: 800, flushedBytes: 200 }), 1_000);
    expect(slow).toMatchObject({
      unansweredPingAtMs: 1_000,
      flushedAtMs: 1_000,
      flushedBytes: 200,
      sendBufferBytes: 800,
      sendBufferAtFlushBytes: 800,
    });
  });

  test('a send buffer that stands still does not', () => {
    const stuck = connectionWith({ unansweredPingAtMs: 5, sendBufferBytes: 900, flushedBytes: 100 });
    applyReading(stuck, reading({ sendBufferBytes: 999, flushedBytes: 100 }), 1_000);
    expect(stuck).toMatchObject({ unansweredPingAtMs: 5, flushedAtMs: 0, sendBufferBytes: 999 });
  });

  test('the first bytes in the send buffer start its measurement', () => {
    const writing = connectionWith({ unansweredPingAtMs: 5 });
    applyReading(writing, reading({ sendBufferBytes: 700, flushedBytes: 50 }), 1_000);
    expect(writing).toMatchObject({
      unansweredPingAtMs: 5,
      flushedBytes: 50,
      flushedAtMs: 1_000,
      sendBufferAtFlushBytes: 700,
    });
  });

  test('a send buffer that became empty counts as moving', () => {
    const emptied = connectionWith({ sendBufferBytes: 700, flushedBytes: 50, sendBufferAtFlushBytes: 700 });
    applyReading(emptied, reading({ flushedBytes: 50 }), 1_000);
    expect(emptied).toMatchObject({ sendBufferBytes: 0, flushedAtMs: 1_000, sendBufferAtFlushBytes: 0 });
  });
});

describe('isPingDue', () => {
  const pingedAt3 = { agentPingAtMs: 3 * MINUTE_MS };

  test.each<[string, Partial<Connection>, PingRound, boolean]>([
    ['never pinged', {}, roundAt(3), true],
    ['pinged less than five minutes ago', pingedAt3, roundAt(7.9), false],
    ['pinged five minutes ago', pingedAt3, roundAt(8), true],
    ['in the sample, pinged less than a minute ago', pingedAt3, roundAt(3.9, { isSampled: true }), false],
    ['in the sample, pinged a minute ago', pingedAt3, roundAt(4, { isSampled: true }), true],
    ['everyone is pinged', pingedAt3, roundAt(3.1, { everyone: true }), true],
    [
      'everyone is pinged, but a ping is unanswered',
      { ...pingedAt3, unansweredPingAtMs: 3 * MINUTE_MS },
      roundAt(3.1, { everyone: true }),
      false,
    ],
  ])('%s', (_case, fields, round, expected) => {
    expect(isPingDue(connectionWith(fields), 'schedule', rules, round)).toBe(expected);
  });
});

test('a connection is silent from three minutes without bytes on', () => {
  expect(isSilent(connectionWith(), rules, 3 * MINUTE_MS - 1)).toBe(false);
  expect(isSilent(connectionWith(), rules, 3 * MINUTE_MS)).toBe(true);
});

test('pings of the application are a heartbeat for ten minutes', () => {
  expect(hasHeartbeat(connectionWith(), rules, 0)).toBe(false);
  expect(hasHeartbeat(connectionWith({ appPingAtMs: 0 }), rules, 10 * MINUTE_MS)).toBe(true);
  expect(hasHeartbeat(connectionWith({ appPingAtMs: 0 }), rules, 10 * MINUTE_MS + 1)).toBe(false);
});

test('a slow peer still reads, and more than 64 KiB wait for it', () => {
  const behind = connectionWith({ sendBufferBytes: 65_537, flushedAtMs: 4 * MINUTE_MS });
  expect(isSlow(behind, rules, 5 * MINUTE_MS)).toBe(true);
  expect(isSlow(behind, rules, 8 * MINUTE_MS)).toBe(false);
  expect(isSlow({ ...behind, sendBufferBytes: 65_536 }, rules, 5 * MINUTE_MS)).toBe(false);
  expect(isSlow({ ...behind, liveness: 'unresponsive' }, rules, 5 * MINUTE_MS)).toBe(false);
});

test('WSGUARD_TIME_SCALE shortens the schedule, but not a round trip', () => {
  expect(livenessRules({ timeScale: 60, ping: 'off' })).toEqual({
    pings: false,
    silentAfterMs: 3_000,
    lostAfterMs: 35_000,
    pingEveryMs: 5_000,
    pingEveryUnderSuspicionMs: 1_000,
    replyWithinMs: 2_000,
    heartbeatWithinMs: 10_000,
  });
});
