import { Outbox, type Attempt } from '../../../src/deliver/outbox.ts';
import { createFakeClock } from '../../support/fake-clock.ts';

const RETRY: Attempt = { outcome: 'retry', code: 'WSGUARD_WEBHOOK_FAILED', reason: 'HTTP status 500' };
const DONE: Attempt = { outcome: 'delivered' };

function open(answers: (item: string, nth: number) => Attempt | Promise<Attempt>, maxItems = 10) {
  const clock = createFakeClock();
  const tried: [string, number][] = [];
  const outbox = new Outbox<string>({
    clock,
    maxItems,
    random: () => 1,
    attempt: async (item) => {
      tried.push([item, clock.nowMs()]);
      return answers(item, tried.length);
    },
  });
  const settleAll = async () => {
    for (let i = 0; i < 20; i += 1) await Promise.resolve();
  };
  const advance = async (ms: number) => {
    clock.advance(ms);
    await settleAll();
  };
  return { outbox, tried, advance, settleAll };
}

test('one at a time, in order', async () => {
  const { outbox, tried } = open(() => DONE);
  const all = await Promise.all(['a', 'b', 'c'].map((item) => outbox.deliver(item)));
  expect(all).toEqual([DONE, DONE, DONE]);
  expect(tried.map(([item]) => item)).toEqual(['a', 'b', 'c']);
  expect(outbox.size).toBe(0);
});

test('backs off 1, 2, 4 s and delivers in the end', async () => {
  const { outbox, tried, advance, settleAll } = open((_, nth) => (nth < 4 ? RETRY : DONE));
  const outcome = outbox.deliver('a');
  await settleAll();
  for (let i = 0; i < 10; i += 1) await advance(1000);
  expect(await outcome).toEqual(DONE);
  expect(tried.map(([, atMs]) => atMs)).toEqual([0, 1000, 3000, 7000]);
});

test('waits as long as the receiver asks, but not for ever', async () => {
  const { outbox, tried, advance, settleAll } = open((_, nth) =>
    nth === 1 ? { ...RETRY, retryAfterMs: 30_000 } : DONE,
  );
  void outbox.deliver('a');
  await settleAll();
  await advance(29_000);
  expect(tried).toHaveLength(1);
  await advance(1000);
  expect(tried).toHaveLength(2);
});

test('an item that fails and fails goes behind the others', async () => {
  const { outbox, tried, advance, settleAll } = open((item) => (item === 'poison' ? RETRY : DONE));
  void outbox.deliver('poison');
  const good = outbox.deliver('good');
  await settleAll();
  for (let i = 0; i < 10; i += 1) await advance(8000);
  expect(await good).toEqual(DONE);
  expect(tried.filter(([item]) => item === 'poison').length).toBeGreaterThanOrEqual(5);
  expect(outbox.size).toBe(1);
});

test('beyond the bound the oldest is dropped, and told', async () => {
  const { outbox, settleAll } = open(() => RETRY, 3);
  const first = outbox.deliver('1');
  for (const item of ['2', '3', '4']) void outbox.deliver(item);
  await settleAll();
  expect(await first).toMatchObject({ outcome: 'dropped', code: 'WSGUARD_OUTBOX' });
  expect(outbox.size).toBe(3);
});

test('after a day it is given up', async () => {
  const { outbox, advance, settleAll } = open(() => RETRY);
  const outcome = outbox.deliver('a');
  await settleAll();
  for (let i = 0; i < 25 * 12 + 20; i += 1) await advance(5 * 60_000);
  expect(await outcome).toMatchObject({ outcome: 'dropped', reason: 'HTTP status 500' });
  expect(outbox.size).toBe(0);
});

test('an attempt that throws is a drop, not a fault', async () => {
  const { outbox } = open(() => {
    throw new Error('ours');
  });
  expect(await outbox.deliver('a')).toMatchObject({ outcome: 'dropped', reason: 'ours' });
});

test('stop settles what waits', async () => {
  const { outbox, settleAll } = open(() => RETRY);
  const outcomes = [outbox.deliver('a'), outbox.deliver('b')];
  await settleAll();
  outbox.stop();
  expect((await Promise.all(outcomes)).map(({ outcome }) => outcome)).toEqual(['dropped', 'dropped']);
  expect(await outbox.deliver('c')).toMatchObject({ outcome: 'dropped' });
});

test('idle waits for what is on its way, but no longer than told', async () => {
  let answer: (attempt: Attempt) => void = () => undefined;
  const { outbox, advance, settleAll } = open(() => new Promise<Attempt>((resolve) => (answer = resolve)));
  const seen: string[] = [];
  void outbox.deliver('a');
  void outbox.idle(60_000).then(() => seen.push('idle'));
  void outbox.idle(1000).then(() => seen.push('given up'));
  await advance(999);
  expect(seen).toEqual([]);
  await advance(1);
  expect(seen).toEqual(['given up']);
  answer(DONE);
  await settleAll();
  expect(seen).toEqual(['given up', 'idle']);
});
