import { remedyList, type WatchingAgent } from '../../../src/core/remedy-list.ts';
import { safeSend } from '../../../src/remedy/safe-send.ts';
import { FakeWebSocket } from '../../support/web-sockets.ts';

const slow = (): FakeWebSocket => Object.assign(new FakeWebSocket(), { bufferedAmount: 16_385 });

test('sends to an open client that keeps up', () => {
  const ws = new FakeWebSocket();
  ws.bufferedAmount = 16_384;
  expect(safeSend(ws, 'a')).toBe('sent');
  expect(ws.sent).toEqual(['a']);
});

test.each([0, 2, 3])('a WebSocket of readyState %i gets nothing', (readyState) => {
  const ws = Object.assign(new FakeWebSocket(), { readyState });
  expect(safeSend(ws, 'a', { policy: 'queue' })).toBe('closed');
  expect(ws.sent).toEqual([]);
});

test('drop: a slow client misses the message', () => {
  const ws = slow();
  expect(safeSend(ws, 'a')).toBe('dropped');
  expect(ws.sent).toEqual([]);
});

test('close: a slow client is terminated', () => {
  const ws = slow();
  expect(safeSend(ws, 'a', { policy: 'close' })).toBe('closed');
  expect(ws.readyState).toBe(3);
});

test('queue: messages wait in order and follow when the kernel has taken the earlier ones', () => {
  const ws = new FakeWebSocket();
  const send = (data: string): string => safeSend(ws, data, { policy: 'queue' });
  expect(send('a')).toBe('sent');
  ws.bufferedAmount = 20_000;
  expect([send('b'), send('c')]).toEqual(['queued', 'queued']);
  ws.bufferedAmount = 0;
  expect(send('d')).toBe('queued');
  ws.drain();
  expect(ws.sent).toEqual(['a', 'b', 'c', 'd']);
  ws.drain();
  expect(send('e')).toBe('sent');
  expect(ws.sent.at(-1)).toBe('e');
});

test('queue: the 1,001st waiting message ends the connection', () => {
  const ws = slow();
  const outcomes = Array.from({ length: 1_001 }, () => safeSend(ws, 'x', { policy: 'queue' }));
  expect(outcomes.filter((outcome) => outcome === 'queued')).toHaveLength(1_000);
  expect(outcomes.at(-1)).toBe('closed');
  expect(ws.readyState).toBe(3);
});

test('queue: more than 1 MiB ends the connection', () => {
  const ws = slow();
  const outcomes = Array.from({ length: 17 }, () => safeSend(ws, Buffer.alloc(1 << 16), { policy: 'queue' }));
  expect(outcomes.slice(0, 16)).toEqual(Array(16).fill('queued'));
  expect(outcomes[16]).toBe('closed');
});

test('never throws: not for data that ws refuses, and not in the callback', () => {
  const ws = Object.assign(new FakeWebSocket(), {
    send() {
      throw new TypeError('unsupported data');
    },
  });
  expect(safeSend(ws, 'a')).toBe('dropped');
  const queued = slow();
  expect(safeSend(queued, 'a')).toBe('dropped');
});

test('queue: bytes that the application sent itself do not stop the queue', () => {
  jest.useFakeTimers();
  try {
    const ws = slow();
    expect(safeSend(ws, 'a', { policy: 'queue' })).toBe('queued');
    ws.bufferedAmount = 0;
    jest.advanceTimersByTime(200);
    expect(ws.sent).toEqual(['a']);
    expect([jest.getTimerCount(), ws.eventNames()]).toEqual([0, []]);
  } finally {
    jest.useRealTimers();
  }
});

test('queue: a client that closes frees its messages', () => {
  const ws = slow();
  safeSend(ws, 'a', { policy: 'queue' });
  ws.terminate();
  expect(ws.eventNames()).toEqual([]);
});

test('an unknown policy drops, and the agent counts the queued messages', () => {
  expect(safeSend(slow(), 'a', { policy: 'keep' as never })).toBe('dropped');
  const queues = new Map<string, () => number>();
  const agent = {
    watchQueue: (name: string, size: () => number) => (queues.set(name, size), () => undefined),
  };
  const attach = [...remedyList().parts.keys()].at(-1)!;
  attach(agent as unknown as WatchingAgent);
  const ws = slow();
  safeSend(ws, 'a', { policy: 'queue' });
  expect(queues.get('safeSend')!()).toBe(1);
  ws.terminate();
  expect(queues.get('safeSend')!()).toBe(0);
});
