import { Front } from '../../../src/hooks/discovery/consumer-detector.ts';

const item = (n: number) => ({ n, at: 'now' });
/** Reads the front after each step; the answer of each reading. */
function readings(items: unknown[], steps: number, step: (n: number) => void): boolean[] {
  const front = new Front();
  return Array.from({ length: steps }, (_, n) => {
    step(n);
    return front.isTaken(items);
  });
}

test('who takes from the front of an array makes it a queue, however much is waiting', () => {
  const queue: unknown[] = [];
  const seen = readings(queue, 30, (n) => {
    for (let i = 0; i < 5; i += 1) queue.push(item(5 * n + i));
    queue.splice(0, 2);
  });
  expect(seen.indexOf(true)).toBe(10);
  expect(seen.slice(10).every(Boolean)).toBe(true);
  expect(queue.length).toBe(90);
});

test('strings tell as well; a queue stays one when its consumer stops', () => {
  const queue = ['a job of some length, the first'];
  const taken = readings(queue, 40, (n) => {
    queue.push(`a job of some length, number ${n}`);
    if (n < 20) queue.shift();
  });
  expect(taken.at(-1)).toBe(true);
});

test('a history that is cut now and then, a list that only grows and one that is emptied are none', () => {
  const history: unknown[] = [];
  const cut = readings(history, 200, (n) => {
    history.push(item(n));
    if (history.length > 30) history.splice(0, 10);
  });
  const list: unknown[] = [];
  const grown = readings(list, 200, (n) => void list.push(n % 2 === 0 ? item(n) : null));
  const batch: unknown[] = [];
  const written = readings(batch, 200, (n) => {
    batch.push(item(n));
    if (n % 24 === 0) batch.length = 0;
  });
  expect([...cut, ...grown, ...written]).not.toContain(true);
});
