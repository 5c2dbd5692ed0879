/** Root causes of listeners that packages and Node make, and of scripts that are transpiled in memory. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Culprit } from '../../src/types/index.ts';
import { endChildren, ROOT, startChild } from '../support/child.ts';
import { installReal } from '../support/real.ts';

const DIST = join(ROOT, 'dist');

describe('a listener that a package or Node has made', () => {
  const fixture = join(installReal('wrappers', 'current'), 'listeners.js');
  const lines = readFileSync(fixture, 'utf8').split('\n');
  const located = new Map<string, Culprit | null>();
  beforeAll(() => {
    const script = join(ROOT, 'test', 'support', 'locate-wrappers.cjs');
    const env = { ...process.env, NODE_OPTIONS: '' };
    const output = execFileSync(process.execPath, [script, fixture, DIST], { encoding: 'utf8', env });
    for (const line of output.trim().split('\n')) {
      const { name, culprit } = JSON.parse(line) as { name: string; culprit: Culprit | null };
      located.set(name, culprit);
    }
  });

  test.each([
    ['subscribe', 'rxjs fromEvent.js'],
    ['operators', 'rxjs fromEvent.js'],
    ['debounce', 'lodash lodash.js'],
    ['partial', 'lodash lodash.js'],
    ['iterator', 'node:events'],
    ['asyncIterator', 'graphql-subscriptions pubsub-async-iterator.js'],
    ['data', 'node:internal/streams/readable'],
  ])('%s leads to the line of the application, through %s', (name, wrapper) => {
    const culprit = located.get(name);
    expect(culprit).toMatchObject({ file: fixture, package: null });
    expect(lines[(culprit?.line ?? 0) - 1]).toContain(`// wraps: ${name}`);
    expect(culprit?.text).toContain(`, through ${wrapper}:`);
  });
});

describe('a script that is transpiled in memory', () => {
  afterEach(endChildren);

  /** The base64 of a source map whose third line comes from line 5 of `written.ts`. */
  const map = Buffer.from(
    JSON.stringify({ version: 3, sources: ['written.ts'], names: [], mappings: ';;AAIA' }),
  ).toString('base64');
  const program = (scripts: number): string => `
    const { runInThisContext } = require('node:vm');
    const { EventEmitter } = require('node:events');
    const { locateListeners } = require(${JSON.stringify(join(DIST, 'hooks/inspector/locate-listeners.js'))});
    const { createClock } = require(${JSON.stringify(join(DIST, 'core/clock.js'))});
    const keep = [];
    const run = (n, url) =>
      keep.push(runInThisContext('\\n\\n(function onTick() {})\\n//# sourceMappingURL=' + url, { filename: '/srv/ran' + n + '.ts' }));
    const url = 'data:application/json;base64,' + ${JSON.stringify(map)};
    run(0, url);
    for (let n = 1; n < ${scripts}; n += 1) run(n, url + 'A'.repeat(60_000));
    for (const listener of keep) listener();
    const bus = new EventEmitter().on('tick', keep[0]);
    locateListeners(bus, 'tick', createClock()).then(({ file, line }) => console.log(JSON.stringify({ file, line })));`;

  async function locateAmong(scripts: number) {
    const child = startChild({ files: { 'main.js': program(scripts) } });
    const [json] = await child.stdoutMatch(/\{.*\}/);
    return JSON.parse(json) as { file: string; line: number };
  }

  test('is mapped to the written line by its inline source map', async () => {
    await expect(locateAmong(5)).resolves.toMatchObject({ file: '/srv/written.ts', line: 5 });
  });

  test('among 2,000 such scripts the maps are not read, because that takes seconds', async () => {
    await expect(locateAmong(2_000)).resolves.toEqual({ file: '/srv/ran0.ts', line: 3 });
  });
});
