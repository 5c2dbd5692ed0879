import { createHeartbeatCounter, createHeartbeatMonitor } from '../../../src/agent/heartbeat-counter.ts';

function createPair() {
  const counter = createHeartbeatCounter();
  return { counter, silentMs: createHeartbeatMonitor(counter.memory) };
}

test('a counter that is incremented each second is not silent', () => {
  const { counter, silentMs } = createPair();
  for (let atMs = 0; atMs <= 10_000; atMs += 1_000) {
    counter.increment();
    expect(silentMs(atMs)).toBe(0);
  }
});

test('a counter that stands still is silent since its last change', () => {
  const { counter, silentMs } = createPair();
  counter.increment();
  silentMs(0);
  for (let atMs = 1_000; atMs < 7_000; atMs += 1_000) silentMs(atMs);
  expect(silentMs(7_000)).toBe(7_000);
  counter.increment();
  expect(silentMs(8_000)).toBe(0);
});

test('the suspension of the machine does not count as silence', () => {
  const { counter, silentMs } = createPair();
  counter.increment();
  silentMs(0);
  expect(silentMs(3_600_000)).toBe(0);
  expect(silentMs(3_601_000)).toBe(1_000);
});

test('a capture does not count as silence, and its result or error is passed on', () => {
  const { counter, silentMs } = createPair();
  counter.increment();
  silentMs(0);
  const during = counter.duringCapture(() => [1, 2, 3, 4].map((second) => silentMs(second * 1_000)));
  expect(during).toEqual([0, 0, 0, 0]);
  expect(() =>
    counter.duringCapture(() => {
      throw new Error('disk full');
    }),
  ).toThrow('disk full');
  expect(silentMs(5_000)).toBe(0);
  expect(silentMs(6_000)).toBe(1_000);
});
