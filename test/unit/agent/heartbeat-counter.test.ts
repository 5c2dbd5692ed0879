import {
  HEARTBEAT_BYTES,
  createHeartbeatCounter,
  createHeartbeatMonitor,
} from '../../../src/agent/heartbeat-counter.ts';

function pair() {
  const memory = new SharedArrayBuffer(HEARTBEAT_BYTES);
  return { beat: createHeartbeatCounter(memory), silentMs: createHeartbeatMonitor(memory) };
}

test('a beat that goes on is not silent', () => {
  const { beat, silentMs } = pair();
  for (let atMs = 0; atMs <= 10_000; atMs += 1_000) {
    beat.bump();
    expect(silentMs(atMs)).toBe(0);
  }
});

test('a beat that stops is silent for as long as the listener was there to hear', () => {
  const { beat, silentMs } = pair();
  beat.bump();
  silentMs(0);
  for (let atMs = 1_000; atMs < 7_000; atMs += 1_000) silentMs(atMs);
  expect(silentMs(7_000)).toBe(7_000);
  beat.bump();
  expect(silentMs(8_000)).toBe(0);
});

test('a machine that was suspended is no silence', () => {
  const { beat, silentMs } = pair();
  beat.bump();
  silentMs(0);
  expect(silentMs(3_600_000)).toBe(0);
  expect(silentMs(3_601_000)).toBe(1_000);
});

test('our own stop for a snapshot is excused, and what it gives or throws is passed on', () => {
  const { beat, silentMs } = pair();
  beat.bump();
  silentMs(0);
  const inside = beat.excuse(() => [1, 2, 3, 4].map((second) => silentMs(second * 1_000)));
  expect(inside).toEqual([0, 0, 0, 0]);
  expect(() =>
    beat.excuse(() => {
      throw new Error('disk full');
    }),
  ).toThrow('disk full');
  expect(silentMs(5_000)).toBe(0);
  expect(silentMs(6_000)).toBe(1_000);
});
