/** Real snapshots of programs with and without leaks: each suspect with its line and path, or none. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildSync } from 'esbuild';
import { analyseFiles } from '../support/analyse-files.ts';
import type { Analysis, Suspect } from '../../src/types/index.ts';
import { describeWith, startComponent } from '../support/components.ts';

const PROGRAM = join(__dirname, '..', '..', 'fixtures', 'heaps', 'patterns.js');
const folders: string[] = [];
afterAll(() => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true })));

/** Name of the `culprit` comment in the program -> type, path and number of objects of the suspect. */
const EXPECTED: Readonly<Record<string, readonly [type: string, path: string, objects: number]>> = {
  map: ['Map', 'connections', 300],
  set: ['Set', 'clients', 300],
  queue: ['Array', 'outbox[359]', 300],
  dictionary: ['Object', 'byUser', 300],
  listeners: ['Listeners', 'bus._events.message[359]', 300],
  'same-listener': ['Listeners', 'gateway._events.upgrade[359]', 300],
  buffers: ['Array', 'frames[359]', 300],
  'weak-references': ['Set', 'refs', 300],
  timers: ['Timers', 'timers[40000]', 300],
  'held-timers': ['Timers', 'timers[45000]', 300],
  'private-field': ['Map', 'lobby.#members', 300],
  'long-lived': ['Map', 'subscribers[…].seen', 300],
  list: ['List', 'history.last', 300],
};
/** Their objects are links or bytes, whose number varies. */
const EXPECTED_PLACES: Readonly<Record<string, readonly [type: string, path: string]>> = {
  numbers: ['Array', 'latencies'],
  promises: ['Promises', 'feed.head'],
  text: ['Strings', 'log.text'],
};

const source = readFileSync(PROGRAM, 'utf8').split('\n');
const lineOf = (name: string): number =>
  source.findIndex((line) => new RegExp(`// culprit ${name}$`).test(line)) + 1;

function snapshots(node: string, variant: string, only = '', program = PROGRAM): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'wsguard-heaps-'));
  folders.push(folder);
  execFileSync(node, [program, variant, folder, only], { env: { ...process.env, NODE_OPTIONS: '' } });
  return ['a', 'b'].map((name) => join(folder, `${name}.heapsnapshot`));
}

function expectCulprits({ suspects, clean }: Analysis): void {
  const byLine = new Map(suspects.map((suspect) => [suspect.location?.line, suspect]));
  const found = (name: string): Suspect | undefined => byLine.get(lineOf(name));
  const whole = Object.fromEntries(
    Object.keys(EXPECTED).map((name) => [
      name,
      [found(name)?.type, found(name)?.path.join(''), found(name)?.growth?.objects],
    ]),
  );
  expect(whole).toEqual(EXPECTED);
  const places = Object.fromEntries(
    Object.keys(EXPECTED_PLACES).map((name) => [name, [found(name)?.type, found(name)?.path.join('')]]),
  );
  expect(places).toEqual(EXPECTED_PLACES);
  expect(suspects.map(({ location }) => location?.file)).toEqual(suspects.map(() => PROGRAM));
  // 300 buffers of 9,000 bytes are the largest: memory outside the heap counts for the rank.
  expect(suspects[0]?.path.join('')).toBe('frames[359]');
  expect(suspects.length).toBe(Object.keys(EXPECTED).length + Object.keys(EXPECTED_PLACES).length);
  expect(clean).toBe(false);
}

function theRelease(nodeOf: () => Promise<string>): void {
  test('finds each leak by line, path and number of objects, and nothing else', async () => {
    const analysis = await analyseFiles(snapshots(await nodeOf(), 'leaky'));
    expect(analysis.matchedBy).toBe('id');
    expectCulprits(analysis);
  });

  test('finds nothing in the fixed program', async () => {
    const analysis = await analyseFiles(snapshots(await nodeOf(), 'fixed'));
    expect(analysis.suspects).toEqual([]);
    expect(analysis.clean).toBe(true);
  });

  test('finds the same with snapshots of two processes, whose ids are unrelated', async () => {
    const node = await nodeOf();
    const [a] = snapshots(node, 'leaky') as [string];
    const [, b] = snapshots(node, 'leaky', 'b') as [string, string];
    const analysis = await analyseFiles([a, b]);
    expect(analysis.matchedBy).toBe('path');
    expectCulprits(analysis);
    const [, fixed] = snapshots(node, 'fixed', 'b') as [string, string];
    expect((await analyseFiles([snapshots(node, 'fixed')[0]!, fixed])).suspects).toEqual([]);
  });
}

describe(`snapshots of this Node ${process.version}`, () => theRelease(async () => process.execPath));
for (const name of ['node22', 'node24', 'node26'] as const) {
  describeWith([name], `snapshots of ${name}`, () =>
    theRelease(async () => (await startComponent(name)).path),
  );
}

test('a minified bundle with a source map: the lines are those of the source', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'wsguard-bundle-'));
  folders.push(folder);
  const bundle = join(folder, 'app.js');
  buildSync({
    entryPoints: [PROGRAM],
    outfile: bundle,
    bundle: true,
    minify: true,
    sourcemap: true,
    platform: 'node',
  });
  const { suspects } = await analyseFiles(snapshots(process.execPath, 'leaky', '', bundle));
  const names = [...Object.keys(EXPECTED), ...Object.keys(EXPECTED_PLACES)];
  const lines = suspects.map(({ location }) => location?.line);
  expect(new Set(lines)).toEqual(new Set(names.map(lineOf)));
  expect(suspects.map(({ location }) => location?.file)).toEqual(suspects.map(() => PROGRAM));
});

test('a function that is added repeatedly is not new and numbers are not objects: neither is called leaking', async () => {
  const { suspects } = await analyseFiles(snapshots(process.execPath, 'leaky'));
  const steps = Object.fromEntries(suspects.map(({ path, steps: all }) => [path[0], all]));
  expect(steps['gateway']?.at(-1)).toMatchObject({ is: 'onUpgrade', state: 'unknown', isSuspect: true });
  expect(steps['latencies']).toMatchObject([{ text: 'latencies', state: 'not-leaking', isSuspect: false }]);
  // These containers kept all of their earlier entries.
  for (const start of ['byUser', 'clients', 'connections', 'outbox', 'lobby']) {
    expect(steps[start]?.at(-1)).toMatchObject({ state: 'leaking', isSuspect: true });
    expect(steps[start]?.at(-1)?.because).toContain('none of the 60 older entries was removed');
  }
});

test('three snapshots: a container that stopped growing and has no closed sockets is not a suspect', async () => {
  const [a, b] = snapshots(process.execPath, 'leaky') as [string, string];
  const analysis = await analyseFiles([a, b, b]);
  expect(analysis.suspects.filter(({ type }) => type === 'Map')).toEqual([]);
  expect(analysis.growing.map(({ path }) => path.join(''))).toContain('connections');
});

test('a single snapshot: the objects that retain the memory', async () => {
  const [, b] = snapshots(process.execPath, 'leaky') as [string, string];
  const analysis = await analyseFiles([b]);
  expect(analysis.holders.map(({ path }) => path.join(''))).toContain('frames');
  expect(analysis.suspects.map(({ path }) => path.join(''))).toContain('bus._events.message[359]');
});
