import fc from 'fast-check';
import { BoundedMessageQueue } from '../../../src/remedy/bounded-message-queue.ts';
import { createFakeClock } from '../../support/fake-clock.ts';

test('messages leave in the order in which they came', () => {
  const queue = new BoundedMessageQueue<string>();
  for (const message of ['a', 'b', 'c']) expect(queue.queue(message)).toBe(true);
  expect([queue.dequeue(), queue.dequeue(), queue.dequeue(), queue.dequeue()]).toEqual([
    'a',
    'b',
    'c',
    undefined,
  ]);
  expect(queue.getStats()).toEqual({ queued: 0, maxSize: 1_000, totalDropped: 0, bytes: 0 });
});

test('the 1,001st message drops the oldest', () => {
  const queue = new BoundedMessageQueue<number>();
  for (let n = 0; n < 1_001; n += 1) queue.queue(n);
  expect(queue.getStats()).toMatchObject({ queued: 1_000, totalDropped: 1 });
  expect(queue.dequeue()).toBe(1);
});

test('messages older than 60 s are dropped', () => {
  const clock = createFakeClock();
  const queue = new BoundedMessageQueue<string>({}, clock);
  queue.queue('old');
  clock.advance(40_000);
  queue.queue('young');
  clock.advance(20_001);
  expect(queue.cleanup()).toBe(1);
  expect(queue.oldestAgeMs).toBe(20_001);
  expect(queue.dequeue()).toBe('young');
  expect(queue.getStats().totalDropped).toBe(1);
});

test('the byte limit counts UTF-8 and makes room by dropping the oldest', () => {
  const queue = new BoundedMessageQueue<string | Buffer>({ maxBytes: 10 });
  queue.queue('ää');
  queue.queue(Buffer.alloc(5));
  expect(queue.getStats().bytes).toBe(9);
  queue.queue('abc');
  expect(queue.getStats()).toMatchObject({ queued: 2, bytes: 8, totalDropped: 1 });
  expect(queue.queue('larger than the whole queue')).toBe(false);
});

test('with onOverflow close the queue keeps what it has, refuses the rest and says so', () => {
  const queue = new BoundedMessageQueue<string>({ maxSize: 2, onOverflow: 'close' });
  queue.queue('a');
  queue.queue('b');
  expect(queue.isClosed).toBe(false);
  expect(queue.queue('c')).toBe(false);
  expect(queue.isClosed).toBe(true);
  expect(queue.dequeue()).toBe('a');
  expect(queue.queue('d')).toBe(false);
});

test('with onOverflow close an expired message closes the queue too', () => {
  const clock = createFakeClock();
  const queue = new BoundedMessageQueue<string>({ onOverflow: 'close' }, clock);
  queue.queue('a');
  clock.advance(60_001);
  expect(queue.dequeue()).toBeUndefined();
  expect(queue.isClosed).toBe(true);
});

test('any order of calls keeps the newest messages within all limits', () => {
  const call = fc.oneof(
    fc.constant('dequeue' as const),
    fc.integer({ min: 0, max: 9 }),
    fc.constant('wait' as const),
  );
  fc.assert(
    fc.property(fc.array(call, { maxLength: 400 }), (calls) => {
      const clock = createFakeClock();
      const queue = new BoundedMessageQueue<string>({ maxSize: 20, maxBytes: 60, maxAgeMs: 100 }, clock);
      const expected: { message: string; atMs: number }[] = [];
      const bytes = (): number => expected.reduce((sum, { message }) => sum + message.length, 0);
      const expire = (): void => {
        while (expected.length > 0 && expected[0]!.atMs < clock.nowMs() - 100) expected.shift();
      };
      for (const [n, action] of calls.entries()) {
        if (action === 'wait') clock.advance(30);
        else if (action === 'dequeue') {
          expire();
          expect(queue.dequeue()).toBe(expected.shift()?.message);
        } else {
          const message = String(n).padEnd(action, '.');
          expire();
          queue.queue(message);
          while (expected.length >= 20 || bytes() + message.length > 60) expected.shift();
          expected.push({ message, atMs: clock.nowMs() });
        }
        queue.cleanup();
        expire();
        expect(queue.getStats()).toMatchObject({ queued: expected.length, bytes: bytes() });
      }
    }),
  );
});
