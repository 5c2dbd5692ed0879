import { ConsumerDetector } from '../../../src/hooks/discovery/consumer-detector.ts';

const item = (n: number) => ({ n, at: 'now' });
/** Updates a detector after each step; returns its answers. */
function answers(items: unknown[], steps: number, step: (n: number) => void): boolean[] {
  const detector = new ConsumerDetector();
  return Array.from({ length: steps }, (_, n) => {
    step(n);
    return detector.update(items);
  });
}

test('an array whose first items are removed is a queue, even when it grows', () => {
  const queue: unknown[] = [];
  const seen = answers(queue, 30, (n) => {
    for (let i = 0; i < 5; i += 1) queue.push(item(5 * n + i));
    queue.splice(0, 2);
  });
  expect(seen.indexOf(true)).toBe(10);
  expect(seen.slice(10).every(Boolean)).toBe(true);
  expect(queue.length).toBe(90);
});

test('strings are recognised too, and a queue stays a queue when its consumer stops', () => {
  const queue = ['a job of some length, the first'];
  const seen = answers(queue, 40, (n) => {
    queue.push(`a job of some length, number ${n}`);
    if (n < 20) queue.shift();
  });
  expect(seen.indexOf(true)).toBe(10);
  expect(seen.at(-1)).toBe(true);
});

test('a history that is cut from time to time is not a queue', () => {
  const history: unknown[] = [];
  const seen = answers(history, 200, (n) => {
    history.push(item(n));
    if (history.length > 30) history.splice(0, 10);
  });
  expect(seen).not.toContain(true);
});

test('a list that only grows is not a queue', () => {
  const list: unknown[] = [];
  const seen = answers(list, 200, (n) => void list.push(n % 2 === 0 ? item(n) : null));
  expect(seen).not.toContain(true);
});

test('a batch that is written and emptied is not a queue', () => {
  const batch: unknown[] = [];
  const seen = answers(batch, 200, (n) => {
    batch.push(item(n));
    if (n % 24 === 0) batch.length = 0;
  });
  expect(seen).not.toContain(true);
});
