import { runInThisContext } from 'node:vm';
import { comparedNames, usesCapturedThis } from '../../../src/hooks/discovery/source-text.ts';
import { visibleLimit } from '../../../src/hooks/discovery/visible-limit.ts';

test.each([
  ['the maximum of a cache', { max: 500, items: 1 }, 500],
  ['the largest of several', { MAX_HISTORY: 100, CACHE_SIZE: 5_000 }, 5_000],
  ['limits of other things', { MAX_PAYLOAD: 65_536, maxConnections: 10_000, MAX_AGE_MS: 60_000 }, null],
  ['a number too large or too small for a limit', { max: 1e9, batchSize: 5 }, null],
  ['no number', { max: '500', limit: null }, null],
  ['another name', { port: 8_080, tick: 50 }, null],
])('visibleLimit: %s', (_case, fields, expected) => {
  expect(visibleLimit(Object.entries(fields))).toBe(expected);
});

test('comparedNames: collections whose size the code compares with a maximum', () => {
  const [cache, log, clients, rooms, MAX] = [new Map(), [1], [1], new Set(), 10];
  const trim = () => {
    if (cache.size > 500) cache.clear();
    if (log.length >= MAX) log.shift();
    return clients.length > 0 && rooms.size === 0 && clients.length >= 1;
  };
  expect(comparedNames(trim)).toEqual(['cache', 'log']);
});

test('comparedNames: a class is read as a whole', () => {
  class Cache {
    readonly items = new Map();
    readonly #max = 10;
    add(key: string): void {
      this.items.set(key, 1);
      this.#trim();
    }
    #trim(): void {
      if (this.items.size > this.#max) this.items.clear();
    }
  }
  expect(comparedNames(Cache)).toEqual(['items']);
});

test.each([
  ['an arrow function with `this`', '(ws) => this.onConnection(ws)', true],
  ['an async one with a body', 'async (ws, req) => { await this.add(ws); }', true],
  ['one without parentheses', 'ws => this.add(ws)', true],
  ['an arrow function without `this`', '(ws) => clients.add(ws)', false],
  ['a function', 'function () { this.add(() => this) }', false],
])('usesCapturedThis: %s', (_case, source, expected) => {
  expect(usesCapturedThis(runInThisContext(`(${source})`) as object)).toBe(expected);
});
