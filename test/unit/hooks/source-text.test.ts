import { comparedNames } from '../../../src/hooks/discovery/source-text.ts';

test('names of collections whose size is compared with a maximum', () => {
  const cache = new Map<string, number>();
  const limits = { queue: [] as number[], max: 10 };
  const handler = (): boolean =>
    cache.size > 500 || limits.queue.length >= limits.max || (cache.size > 0 && limits.queue.length > 1);
  expect(comparedNames(handler)).toEqual(['cache', 'queue']);
  class Cache {
    readonly #items = new Map<string, number>();
    isFull = (): boolean => this.#items.size >= 100;
  }
  expect(comparedNames(Cache)).toEqual(['#items']);
});

test('a long word in the source, such as an image in base64, is searched once and not from each letter', () => {
  // oxlint-disable-next-line typescript/no-implied-eval -- the source of the function is what counts
  const handler = new Function(`return '${'a'.repeat(40_000)}'.size > 500`);
  const before = process.cpuUsage();
  expect(comparedNames(handler)).toEqual([]);
  const { user, system } = process.cpuUsage(before);
  // From each letter it takes some seconds.
  expect(user + system).toBeLessThan(1_000_000);
});
