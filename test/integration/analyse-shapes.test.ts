/** Leaks in many shapes, also renamed, reordered, bundled and minified: each suspect with its line, or none. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { analyseFiles } from '../support/analyse-files.ts';
import type { Analysis } from '../../src/types/index.ts';
import { disguise, FORMS } from '../support/disguise.ts';
import type { Disguised, Form } from '../support/disguise.ts';
import { NODES, nodeOf } from '../support/nodes.ts';
import type { NodeName } from '../support/nodes.ts';

const HEAPS = join(__dirname, '..', '..', 'fixtures', 'heaps');
const folder = mkdtempSync(join(tmpdir(), 'wsguard-shapes-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const newFolder = (): string => mkdtempSync(join(folder, 'run-'));

/** Name of the `culprit` comment in the program -> type, path and number of objects of the suspect. */
type Expected = readonly [type: string, path: string, objects: number];
const SHAPES: Readonly<Record<string, Expected>> = {
  chain: ['Promises', 'saves.lock', 300],
  linked: ['List', 'chat.log', 300],
  'static-cache': ['Map', 'Profile.cache', 300],
  rooms: ['Set', 'rooms.#rooms.get(…)', 300],
  pool: ['Array', 'pool[free][359]', 300],
  nested: ['Map', 'tenants.get(…)', 300],
  target: ['Listeners', 'feed[kEvents].get(…)', 300],
  once: ['Listeners', 'database._events.ready[359]', 300],
  'weak-map': ['Array', 'attached.get(…)[359]', 300],
  copied: ['Array', 'audit[359]', 300],
  global: ['Array', 'globalThis.onlineUsers[359]', 300],
};
/** Node retains several internal objects of a signal, a stream or an iterator, so only the line is compared. */
const SHAPES_BY_LINE = ['abort', 'iterator', 'pipe', 'context', 'finalization'];
/** `analyse.test.ts` checks them in detail. */
const PATTERNS = [
  ...readFileSync(join(HEAPS, 'patterns.js'), 'utf8').matchAll(/; \/\/ culprit (\S+)$/gm),
].map(([, name]) => name!);

function snapshots(node: string, program: string, ...args: string[]): readonly string[] {
  const into = newFolder();
  execFileSync(node, [program, ...args, into], { env: { ...process.env, NODE_OPTIONS: '' } });
  return ['a', 'b'].map((name) => join(into, `${name}.heapsnapshot`));
}

const run = (...program: Parameters<typeof snapshots>): Promise<Analysis> =>
  analyseFiles(snapshots(...program));

function linesOf({ source }: Disguised): (name: string) => number {
  const lines = source.split('\n');
  return (name) => lines.findIndex((line) => new RegExp(`// culprit ${name}$`).test(line)) + 1;
}

/** The names of the leaks that the suspects point to; a suspect elsewhere is returned as path and line. */
function namesFound({ suspects }: Analysis, disguised: Disguised, names: readonly string[]): Set<string> {
  const lineOf = linesOf(disguised);
  const byLine = new Map(names.map((name) => [lineOf(name), name]));
  return new Set(
    suspects.map(({ location, path }) => {
      const line = location === null ? null : disguised.lineOf(location);
      return byLine.get(line ?? 0) ?? `${path.join('')} at ${location?.file}:${line}`;
    }),
  );
}

describe.each(NODES.map((node) => [node]))('snapshots of %s', (node: NodeName) => {
  const forms = NODES.length > 1 ? FORMS : (['renamed and reordered', 'minified'] as const);
  test.each(forms)('shapes, %s: finds each leak by its line, and nothing else', async (form: Form) => {
    const disguised = disguise(join(HEAPS, 'shapes.js'), form, newFolder());
    const analysis = await run(await nodeOf(node), disguised.program, 'leaky');
    const names = [...Object.keys(SHAPES), ...SHAPES_BY_LINE];
    const found = namesFound(analysis, disguised, names);
    const { rename } = disguised;
    if (rename === null) {
      expect(names.filter((name) => !found.has(name))).toEqual([]);
      return;
    }
    expect(found).toEqual(new Set(names));
    const lineOf = linesOf(disguised);
    const results = Object.keys(SHAPES).map((name) => {
      const suspect = analysis.suspects.find(
        ({ location }) => location !== null && disguised.lineOf(location) === lineOf(name),
      );
      return [name, [suspect?.type, suspect?.path.join(''), suspect?.growth?.objects]];
    });
    const expected = Object.entries(SHAPES).map(([name, [type, path, objects]]) => [
      name,
      [type, rename(path), objects],
    ]);
    expect(results).toEqual(expected);
  });

  test('finds nothing in the fixed program', async () => {
    expect((await run(await nodeOf(node), join(HEAPS, 'shapes.js'), 'fixed')).suspects).toEqual([]);
  });

  test('finds nothing when as many entries were removed as added: timers, links, listeners, copied lists', async () => {
    const files = snapshots(await nodeOf(node), join(HEAPS, 'turnover.js'));
    expect(await analyseFiles(files)).toMatchObject({ suspects: [], clean: true });
    // The first snapshot has fewer clients. Growth that stopped is not a leak.
    const start = join(dirname(files[0]!), 'start.heapsnapshot');
    expect(await analyseFiles([start, ...files])).toMatchObject({ suspects: [], clean: true });
    // A single snapshot of a healthy server has no suspects, and is not called clean.
    expect(await analyseFiles(files.slice(1))).toMatchObject({ suspects: [], clean: false });
  });

  test.each([
    ['error', '.errmap'],
    ['fetch', ''],
    ['crypto', '.exports'],
    ['https', '.prototype'],
  ])(
    'finds nothing in the objects that Node creates when a part of it is first used: %s',
    async (part, last) => {
      const program = join(HEAPS, 'first-use.js');
      const { suspects, growing, clean } = await run(await nodeOf(node), program, part);
      expect(suspects).toEqual([]);
      expect(clean).toBe(true);
      expect(growing.map(({ path }) => path.join('')).join(' ')).toContain(last);
    },
  );

  // `analyse.test.ts` checks the plain program and the bundle with a source map.
  const patternForms = NODES.length > 1 ? FORMS : (['renamed and reordered'] as const);
  test.each(patternForms)(
    'patterns, %s: finds each leak by its line, and nothing else',
    async (form: Form) => {
      const disguised = disguise(join(HEAPS, 'patterns.js'), form, newFolder());
      const analysis = await run(await nodeOf(node), disguised.program, 'leaky');
      expect(namesFound(analysis, disguised, PATTERNS)).toEqual(new Set(PATTERNS));
    },
  );
});

test('reports the code that creates the entries if other code adds them; only long lines have a column', async () => {
  const plain = await run(process.execPath, join(HEAPS, 'shapes.js'), 'leaky');
  const linked = plain.suspects.find(({ path }) => path.join('') === 'chat.log');
  expect(linked?.maker).toMatchObject({ file: join(HEAPS, 'shapes.js'), function: 'Link' });
  expect(plain.suspects.filter(({ location }) => location?.column !== undefined)).toEqual([]);
});
