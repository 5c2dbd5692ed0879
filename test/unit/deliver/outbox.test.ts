import { Outbox, type Attempt } from '../../../src/deliver/outbox.ts';
import { createFakeClock } from '../../support/fake-clock.ts';

const RETRY: Attempt = { outcome: 'retry', code: 'WSGUARD_WEBHOOK_FAILED', reason: 'HTTP status 500' };
const DELIVERED: Attempt = { outcome: 'delivered' };

function open(reply: (item: string, nth: number) => Attempt | Promise<Attempt>, maxItems = 10) {
  const clock = createFakeClock();
  const attempts: [string, number][] = [];
  const outbox = new Outbox<string>({
    clock,
    maxItems,
    random: () => 1,
    attempt: async (item) => {
      attempts.push([item, clock.nowMs()]);
      return reply(item, attempts.length);
    },
  });
  const settleAll = async () => {
    for (let i = 0; i < 20; i += 1) await Promise.resolve();
  };
  const advance = async (ms: number) => {
    clock.advance(ms);
    await settleAll();
  };
  return { outbox, attempts, advance, settleAll };
}

test('delivers one item at a time and in order', async () => {
  const { outbox, attempts } = open(() => DELIVERED);
  const all = await Promise.all(['a', 'b', 'c'].map((item) => outbox.deliver(item)));
  expect(all).toEqual([DELIVERED, DELIVERED, DELIVERED]);
  expect(attempts.map(([item]) => item)).toEqual(['a', 'b', 'c']);
  expect(outbox.size).toBe(0);
});

test('retries after 1, 2 and 4 s until an attempt succeeds', async () => {
  const { outbox, attempts, advance, settleAll } = open((_, nth) => (nth < 4 ? RETRY : DELIVERED));
  const outcome = outbox.deliver('a');
  await settleAll();
  for (let i = 0; i < 10; i += 1) await advance(1000);
  expect(await outcome).toEqual(DELIVERED);
  expect(attempts.map(([, atMs]) => atMs)).toEqual([0, 1000, 3000, 7000]);
});

test('waits as long as the receiver asks', async () => {
  const { outbox, attempts, advance, settleAll } = open((_, nth) =>
    nth === 1 ? { ...RETRY, retryAfterMs: 30_000 } : DELIVERED,
  );
  void outbox.deliver('a');
  await settleAll();
  await advance(29_000);
  expect(attempts).toHaveLength(1);
  await advance(1000);
  expect(attempts).toHaveLength(2);
});

test('an item that keeps failing moves to the end', async () => {
  const { outbox, attempts, advance, settleAll } = open((item) => (item === 'poison' ? RETRY : DELIVERED));
  void outbox.deliver('poison');
  const good = outbox.deliver('good');
  await settleAll();
  for (let i = 0; i < 10; i += 1) await advance(8000);
  expect(await good).toEqual(DELIVERED);
  expect(attempts.filter(([item]) => item === 'poison').length).toBeGreaterThanOrEqual(5);
  expect(outbox.size).toBe(1);
});

test('drops the oldest item when the queue is full', async () => {
  const { outbox, settleAll } = open(() => RETRY, 3);
  const first = outbox.deliver('1');
  for (const item of ['2', '3', '4']) void outbox.deliver(item);
  await settleAll();
  expect(await first).toMatchObject({ outcome: 'dropped', code: 'WSGUARD_OUTBOX' });
  expect(outbox.size).toBe(3);
});

test('drops an item after one day', async () => {
  const { outbox, advance, settleAll } = open(() => RETRY);
  const outcome = outbox.deliver('a');
  await settleAll();
  for (let i = 0; i < 25 * 12 + 20; i += 1) await advance(5 * 60_000);
  expect(await outcome).toMatchObject({ outcome: 'dropped', reason: 'HTTP status 500' });
  expect(outbox.size).toBe(0);
});

test('an attempt that throws drops the item', async () => {
  const { outbox } = open(() => {
    throw new Error('bug');
  });
  expect(await outbox.deliver('a')).toMatchObject({ outcome: 'dropped', reason: 'bug' });
});

test('stop drops all pending items', async () => {
  const { outbox, settleAll } = open(() => RETRY);
  const outcomes = [outbox.deliver('a'), outbox.deliver('b')];
  await settleAll();
  outbox.stop();
  expect((await Promise.all(outcomes)).map(({ outcome }) => outcome)).toEqual(['dropped', 'dropped']);
  expect(await outbox.deliver('c')).toMatchObject({ outcome: 'dropped' });
});

test('idle waits for pending items, but not longer than the limit', async () => {
  let answer: (attempt: Attempt) => void = () => undefined;
  const { outbox, advance, settleAll } = open(() => new Promise<Attempt>((resolve) => (answer = resolve)));
  const events: string[] = [];
  void outbox.deliver('a');
  void outbox.idle(60_000).then(() => events.push('idle'));
  void outbox.idle(1000).then(() => events.push('limit reached'));
  await advance(999);
  expect(events).toEqual([]);
  await advance(1);
  expect(events).toEqual(['limit reached']);
  answer(DELIVERED);
  await settleAll();
  expect(events).toEqual(['limit reached', 'idle']);
});
