import { EventEmitter } from 'node:events';
import { readFileSync } from 'node:fs';
import { runInThisContext } from 'node:vm';
import { mapThroughInlineMap } from '../../../src/hooks/inspector/inline-source-map.ts';
import { locateListeners } from '../../../src/hooks/inspector/locate-listeners.ts';
import type { Culprit } from '../../../src/types/index.ts';
import { createFakeClock } from '../../support/fake-clock.ts';

/** Runs code as a script of this name and returns its value. */
const script = <T>(code: string, filename: string): T => runInThisContext(code, { filename }) as T;
/** The answer when no further listener is added until the time is over. */
function locate(emitter: EventEmitter, event: string): Promise<Culprit | null> {
  const clock = createFakeClock();
  const located = locateListeners(emitter, event, clock);
  clock.advance(20_000);
  return located;
}
const bus = (): EventEmitter => new EventEmitter().setMaxListeners(0);

describe('locateListeners', () => {
  test('function, file, line and column of the listeners', async () => {
    const onPrice = script<() => void>('\n(function onPrice() {})', '/srv/feed.js');
    const emitter = bus();
    for (let n = 0; n < 30; n += 1) emitter.on('price', onPrice);
    await expect(locate(emitter, 'price')).resolves.toEqual({
      text: "listener of 'price': onPrice at /srv/feed.js:2",
      name: 'price',
      file: '/srv/feed.js',
      line: 2,
      column: 18,
      function: 'onPrice',
      package: null,
      confidence: 0.95,
    });
  });

  test('the location that most of the newest listeners share, with its share as confidence', async () => {
    const [common, rare] = [
      script<() => void>('(() => {})', '/srv/common.js'),
      script<() => void>('(() => {})', '/srv/rare.js'),
    ];
    const emitter = bus();
    for (let n = 0; n < 20; n += 1) emitter.on('x', n % 4 === 0 ? rare : common);
    await expect(locate(emitter, 'x')).resolves.toMatchObject({
      text: "listener of 'x': an anonymous function at /srv/common.js:1",
      file: '/srv/common.js',
      function: null,
      confidence: 0.71,
    });
  });

  test('only the newest 25 listeners are read', async () => {
    const [old, recent] = [
      script<() => void>('(() => {})', '/srv/old.js'),
      script<() => void>('(() => {})', '/srv/recent.js'),
    ];
    const emitter = bus();
    for (let n = 0; n < 100; n += 1) emitter.on('x', old);
    for (let n = 0; n < 25; n += 1) emitter.on('x', recent);
    await expect(locate(emitter, 'x')).resolves.toMatchObject({ file: '/srv/recent.js', confidence: 0.95 });
  });

  test('* is the event with most listeners', async () => {
    const [first, second] = [
      script<() => void>('(() => {})', '/srv/first.js'),
      script<() => void>('(() => {})', '/srv/second.js'),
    ];
    const emitter = bus().on('a', first);
    for (let n = 0; n < 30; n += 1) emitter.on('b', second);
    emitter.on('c', first);
    await expect(locate(emitter, '*')).resolves.toMatchObject({
      text: 'listener: an anonymous function at /srv/second.js:1',
      name: '*',
      confidence: 0.95,
    });
  });

  test('* with an event per user is the listener that these events share', async () => {
    const onUser = script<(n: number) => void>('(function onUser() {})', '/srv/users.js');
    const emitter = bus();
    for (let n = 0; n < 100; n += 1) emitter.on(`user:${n}`, onUser.bind(null, n));
    await expect(locate(emitter, '*')).resolves.toMatchObject({ file: '/srv/users.js', function: 'onUser' });
  });

  test.each([
    ['bound', 'listener.bind(null)'],
    ['bound twice', 'listener.bind(null).bind(null)'],
    ['debounced', '((func) => function debounced() { func(); })(listener)'],
    ['wrapped and bound', '((fn) => function wrapper() { fn(); })(listener.bind(null))'],
  ])('the function inside a listener that is %s', async (_case, expression) => {
    const listener = script<() => void>(
      `((listener) => ${expression})(function onTick() {})`,
      '/srv/tick.js',
    );
    await expect(locate(bus().on('tick', listener), 'tick')).resolves.toMatchObject({
      function: 'onTick',
      file: '/srv/tick.js',
      line: 1,
    });
  });

  test('a function of another name is not opened', async () => {
    const listener = script<() => void>(
      '((func) => function relay() { func(); })(() => {})',
      '/srv/relay.js',
    );
    await expect(locate(bus().on('x', listener), 'x')).resolves.toMatchObject({ function: 'relay' });
  });

  test('symbols are found by their description', async () => {
    const onSymbol = script<() => void>('(function onSymbol() {})', '/srv/symbol.js');
    const event = Symbol('tick');
    await expect(locate(bus().on(event, onSymbol), 'Symbol(tick)')).resolves.toMatchObject({
      function: 'onSymbol',
    });
  });

  test.each([
    ['/srv/node_modules/express/lib/router.js', 'express'],
    ['/srv/node_modules/@scope/name/index.js', '@scope/name'],
    ['/srv/node_modules/a/node_modules/b/index.js', 'b'],
    ['/srv/app.js', null],
  ])('%s belongs to the package %s', async (file, name) => {
    const listener = script<() => void>('(() => {})', file);
    await expect(locate(bus().on('x', listener), 'x')).resolves.toMatchObject({ package: name });
  });

  test('a file URL is a path', async () => {
    const listener = script<() => void>('(() => {})', 'file:///srv/module.mjs');
    await expect(locate(bus().on('x', listener), 'x')).resolves.toMatchObject({ file: '/srv/module.mjs' });
  });

  test.each(['x', '*'])('an emitter without listeners has none (%s)', async (event) => {
    await expect(locate(bus(), event)).resolves.toBeNull();
  });

  test('the line is that of a listener in a test file', async () => {
    const emitter = bus();
    emitter.on('here', function inThisFile() {});
    await expect(locate(emitter, 'here')).resolves.toMatchObject({
      function: 'inThisFile',
      file: __filename,
    });
    expect(readFileSync(__filename, 'utf8')).toContain('function inThisFile() {}');
  });
});

describe('mapThroughInlineMap', () => {
  const map = { version: 3, sources: ['../src/a.ts'], names: [], mappings: 'AAEA' };
  const location = { file: '/srv/dist/a.js', line: 1, column: 1 };
  const base64 = (value: unknown): string =>
    `data:application/json;charset=utf-8;base64,${Buffer.from(JSON.stringify(value)).toString('base64')}`;

  test.each([
    ['a base64 map', base64(map), '/srv/src/a.ts'],
    [
      'a map in plain text',
      `data:application/json,${encodeURIComponent(JSON.stringify(map))}`,
      '/srv/src/a.ts',
    ],
    ['a map with a file URL', base64({ ...map, sources: ['file:///home/a.ts'] }), '/home/a.ts'],
  ])('%s', (_case, url, file) => {
    expect(mapThroughInlineMap(url, location)).toEqual({ file, line: 3 });
  });

  test.each([
    ['a map in a file', 'a.js.map'],
    ['no map', ''],
    ['a map that is no JSON', 'data:application/json;base64,AAAA'],
    ['a map without this line', base64({ ...map, mappings: '' })],
    ['a map of more than a million characters', base64({ ...map, names: ['x'.repeat(1_000_000)] })],
  ])('%s gives no line', (_case, url) => {
    expect(mapThroughInlineMap(url, location)).toBeNull();
  });
});
