import { NEVER, type Connection } from '../../../src/hooks/connections/connection.ts';
import {
  hear,
  isAskDue,
  isSlow,
  judge,
  livenessRules,
  type Askable,
  type Signs,
} from '../../../src/hooks/connections/liveness.ts';

const MINUTE_MS = 60_000;
const rules = livenessRules({ timeScale: 1, ping: 'auto' });
const ask: Askable = { byUs: true, paused: false, hungUp: false };
const deaf: Askable = { byUs: false, paused: false, hungUp: false };

const peer = (more: Partial<Connection> = {}): Connection => ({
  socket: {} as Connection['socket'],
  transport: 'websocket',
  holder: {},
  openedAtMs: 0,
  answering: 'yes',
  waitingBytes: 0,
  bytesRead: 100,
  heardAtMs: 0,
  askedAtMs: NEVER,
  pingedAtMs: NEVER,
  appPingedAtMs: NEVER,
  roundTripFromMs: NEVER,
  takenBytes: 0,
  takenAtMs: 0,
  waitingAtTakenBytes: 0,
  retransmitting: false,
  listensForPong: false,
  ...more,
});
const signs = (more: Partial<Signs> = {}): Signs => ({
  bytesRead: 100,
  waitingBytes: 0,
  takenBytes: 0,
  ...more,
});
const at = (minutes: number, stalledUntilMs = 0) => ({ nowMs: minutes * MINUTE_MS, stalledUntilMs });
const round = (minutes: number, more = {}) => ({
  nowMs: minutes * MINUTE_MS,
  everybody: false,
  sampled: false,
  ...more,
});

describe('answering', () => {
  test.each<[string, Partial<Connection>, Askable, number, Connection['answering']]>([
    ['bytes came within three minutes', { heardAtMs: 0 }, deaf, 3, 'yes'],
    ['silent for longer, may be asked', { heardAtMs: 0 }, ask, 4, 'yes'],
    ['silent for longer, cannot be asked', { heardAtMs: 0 }, deaf, 4, 'unknown'],
    ['asked a minute ago', { askedAtMs: 4 * MINUTE_MS }, ask, 5, 'yes'],
    ['asked more than a minute ago', { askedAtMs: 4 * MINUTE_MS }, ask, 5.1, 'no'],
    [
      'asked by the application, which pings',
      { askedAtMs: 4 * MINUTE_MS, appPingedAtMs: 5 * MINUTE_MS },
      deaf,
      5.1,
      'no',
    ],
    ['asked, but we do not read', { askedAtMs: 4 * MINUTE_MS }, { ...ask, paused: true }, 9, 'unknown'],
    ['a quiet event stream', { transport: 'sse' }, deaf, 1, 'unknown'],
    ['a foreign upgrade that talks', { transport: 'upgraded', heardAtMs: 8 * MINUTE_MS }, deaf, 9, 'yes'],
    ['a silent foreign upgrade', { transport: 'upgraded' }, deaf, 9, 'unknown'],
    [
      'a peer that hung up',
      { transport: 'upgraded', heardAtMs: 9 * MINUTE_MS },
      { ...deaf, hungUp: true },
      9,
      'no',
    ],
    ['the kernel sends again', { transport: 'sse', retransmitting: true }, deaf, 1, 'no'],
    [
      'a backlog that grows and does not move',
      { transport: 'sse', waitingBytes: 9, waitingAtTakenBytes: 5 },
      deaf,
      4,
      'no',
    ],
    [
      'a backlog that does not grow',
      { transport: 'sse', waitingBytes: 5, waitingAtTakenBytes: 5 },
      deaf,
      4,
      'unknown',
    ],
  ])('%s', (_what, ...[more, askable, minutes, answering]) => {
    expect(judge(peer(more), askable, rules, at(minutes))).toBe(answering);
  });

  test('no peer is blamed for an answer that came in while our own loop stood still', () => {
    const asked = peer({ askedAtMs: 4 * MINUTE_MS });
    expect(judge(asked, ask, rules, at(6, 5.9 * MINUTE_MS))).toBe('yes');
    expect(judge(asked, ask, rules, at(7, 5.9 * MINUTE_MS))).toBe('no');
  });
});

describe('hearing', () => {
  test('bytes prove life, whoever asked', () => {
    const asked = peer({ askedAtMs: 5, retransmitting: true });
    hear(asked, signs({ bytesRead: 106 }), 1_000);
    expect(asked).toMatchObject({ heardAtMs: 1_000, askedAtMs: NEVER, retransmitting: false });
  });

  test('a queue that moves gives the ask that stands in it new time', () => {
    const slow = peer({ askedAtMs: 5, waitingBytes: 900, takenBytes: 100 });
    hear(slow, signs({ waitingBytes: 800, takenBytes: 200 }), 1_000);
    expect(slow).toMatchObject({ askedAtMs: 1_000, takenAtMs: 1_000, takenBytes: 200 });
  });

  test('a queue that stands does not', () => {
    const stuck = peer({ askedAtMs: 5, waitingBytes: 900, takenBytes: 100 });
    hear(stuck, signs({ waitingBytes: 999, takenBytes: 100 }), 1_000);
    expect(stuck).toMatchObject({ askedAtMs: 5, takenAtMs: 0, waitingBytes: 999 });
  });
});

describe('asking', () => {
  test('at most once in five minutes', () => {
    expect(isAskDue(peer(), rules, round(3))).toBe(true);
    expect(isAskDue(peer({ pingedAtMs: 3 * MINUTE_MS }), rules, round(7.9))).toBe(false);
    expect(isAskDue(peer({ pingedAtMs: 3 * MINUTE_MS }), rules, round(8))).toBe(true);
  });

  test('once a minute where it is in the sample under suspicion', () => {
    const pinged = peer({ pingedAtMs: 3 * MINUTE_MS });
    expect(isAskDue(pinged, rules, round(3.9, { sampled: true }))).toBe(false);
    expect(isAskDue(pinged, rules, round(4, { sampled: true }))).toBe(true);
  });

  test('before an alert everybody who has no open question', () => {
    const pinged = { pingedAtMs: 3 * MINUTE_MS };
    expect(isAskDue(peer(pinged), rules, round(3.1, { everybody: true }))).toBe(true);
    const open = peer({ ...pinged, askedAtMs: 3 * MINUTE_MS });
    expect(isAskDue(open, rules, round(3.1, { everybody: true }))).toBe(false);
  });
});

test('the schedule scales with the time scale, a round trip does not', () => {
  expect(livenessRules({ timeScale: 60, ping: 'off' })).toEqual({
    pings: false,
    silentMs: 3_000,
    askEveryMs: 5_000,
    askEveryUnderSuspicionMs: 1_000,
    answerWithinMs: 2_000,
    heartbeatWithinMs: 10_000,
  });
});

test('slow is a peer that still reads behind more than 64 KiB', () => {
  const behind = peer({ waitingBytes: 70_000, takenAtMs: 4 * MINUTE_MS });
  expect(isSlow(behind, rules, 5 * MINUTE_MS)).toBe(true);
  expect(isSlow(behind, rules, 8 * MINUTE_MS)).toBe(false);
  expect(isSlow({ ...behind, waitingBytes: 60_000 }, rules, 5 * MINUTE_MS)).toBe(false);
});
