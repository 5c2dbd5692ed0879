import { ConsumerDetector, OldestEntryObserver } from '../../../src/hooks/discovery/consumer-detector.ts';

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

describe('the oldest entry of a Map or a Set', () => {
  /** Updates an observer after each step; returns its answers. */
  function workedOff(
    collection: Map<unknown, unknown> | Set<unknown>,
    steps: number,
    step: (n: number) => void,
  ) {
    const observer = new OldestEntryObserver();
    return Array.from({ length: steps }, (_, n) => {
      step(n);
      return observer.update(collection);
    });
  }
  const removeOldest = (collection: Map<unknown, unknown> | Set<unknown>): void => {
    for (const key of collection.keys()) return void collection.delete(key);
  };

  test.each<[string, (n: number) => unknown]>([
    ['strings', (n) => `job ${n}`],
    ['numbers', (n) => n],
    ['objects', item],
  ])('jobs under %s that are worked off while more come, and after the worker has stopped', (_, keyOf) => {
    const jobs = new Map<unknown, unknown>();
    const seen = workedOff(jobs, 80, (n) => {
      for (let i = 0; i < 5; i += 1) jobs.set(keyOf(5 * n + i), item(n));
      if (n < 40) for (let i = 0; i < 2; i += 1) removeOldest(jobs);
    });
    expect(seen.indexOf(true)).toBe(19);
    expect(seen.slice(19, 40)).not.toContain(false);
    expect(seen.at(-1)).toBe(false);
  });

  test('a Set of jobs', () => {
    const jobs = new Set<unknown>();
    const seen = workedOff(jobs, 30, (n) => {
      for (let i = 0; i < 5; i += 1) jobs.add(item(n));
      removeOldest(jobs);
    });
    expect(seen.at(-1)).toBe(true);
  });

  test('a registry that removes most connections and leaks some', () => {
    const clients = new Map<unknown, unknown>();
    const seen = workedOff(clients, 100, (n) => {
      clients.set(`connection ${n}`, item(n));
      if (n >= 10 && n % 7 !== 0) clients.delete(`connection ${n - 10}`);
    });
    expect(seen).not.toContain(true);
  });

  test('a Map by connection in which each value is replaced', () => {
    const states = new Map<unknown, unknown>([[item(0), item(0)]]);
    const seen = workedOff(states, 40, (n) => {
      for (const key of states.keys()) states.set(key, item(n));
      states.set(item(n), item(n));
    });
    expect(seen).not.toContain(true);
  });

  test('other collections, and Maps that are too large to iterate over what was removed', () => {
    expect(new OldestEntryObserver().update([1, 2])).toBe(false);
    const large = new Map<unknown, unknown>(Array.from({ length: 50_001 }, (_, n) => [n, n]));
    expect(workedOff(large, 30, () => removeOldest(large)).slice(0, 19)).not.toContain(true);
  });

  test('a collection that has become too large to be looked at is no longer worked off', () => {
    const jobs = new Map<unknown, unknown>();
    const seen = workedOff(jobs, 60, (n) => {
      for (let i = 0; i < (n < 30 ? 5 : 2_500); i += 1) jobs.set(`job ${n} ${i}`, n);
      if (n < 30) for (let i = 0; i < 2; i += 1) removeOldest(jobs);
    });
    expect(jobs.size).toBeGreaterThan(50_000);
    expect(seen[29]).toBe(true);
    expect(seen.at(-1)).toBe(false);
  });

  test.each([
    ['undefined', undefined],
    ['null', null],
    ['NaN', Number.NaN],
  ])('the key %s stays the oldest one while its value is replaced', (_, key) => {
    const clients = new Map<unknown, unknown>([[key, item(0)]]);
    const seen = workedOff(clients, 60, (n) => {
      clients.set(key, item(n));
      clients.set(`user ${n}`, item(n));
    });
    expect(seen).not.toContain(true);
  });
});
