/** The examples of the pages against the built package: their types, and a run of each. */
import { execFile } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { examplesOf } from '../support/examples.ts';

const ROOT = join(__dirname, '..', '..');
const FOLDER = mkdtempSync(join(tmpdir(), 'wsguard-examples-'));
const LEAK_PAGES = readdirSync(join(ROOT, 'docs', 'leaks'))
  .filter((name) => !name.startsWith('_'))
  .map((name) => `docs/leaks/${name}`);
const EXAMPLES = ['README.md', 'docs/api.md', 'docs/alerts.md', 'docs/remedies.md', ...LEAK_PAGES]
  .flatMap((page) =>
    examplesOf(readFileSync(join(ROOT, page), 'utf8')).map((example) => ({ page, ...example })),
  )
  .map(({ page, heading, code }, index) => ({ title: `${page}: ${heading}`, file: `${index}.mjs`, code }));
/** The programs of the leak pages are code of an application, without types. */
const TYPED = EXAMPLES.filter(({ title }) => !title.startsWith('docs/leaks/')).map(({ file }) => file);
/** Analyses and snapshots take seconds on a busy machine. */
const DEADLINE_MS = 120_000;

beforeAll(() => {
  const modules = join(FOLDER, 'node_modules');
  mkdirSync(join(modules, '@wsguard'), { recursive: true });
  symlinkSync(ROOT, join(modules, '@wsguard', 'agent'));
  for (const name of ['prom-client', 'ws', 'ajv', '@types'])
    symlinkSync(join(ROOT, 'node_modules', name), join(modules, name));
  for (const { file, code } of EXAMPLES) writeFileSync(join(FOLDER, file), code);
});
afterAll(() => rmSync(FOLDER, { recursive: true, force: true }));

const run = (...args: string[]): Promise<{ code: unknown; text: string }> =>
  new Promise((resolve) => {
    const env = { ...process.env, NODE_OPTIONS: '', WSGUARD_LOG: 'error' };
    execFile(process.execPath, args, { cwd: FOLDER, env, timeout: DEADLINE_MS }, (error, out, err) =>
      resolve({ code: error === null ? 0 : (error.code ?? error.signal), text: out + err }),
    );
  });

test('the examples of the API have no type error', async () => {
  const compilerOptions = {
    allowJs: true,
    checkJs: true,
    strict: true,
    noEmit: true,
    target: 'es2022',
    module: 'nodenext',
    types: ['node'],
    skipLibCheck: true,
  };
  writeFileSync(join(FOLDER, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: TYPED }));
  const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
  expect(await run(tsc, '-p', FOLDER)).toEqual({ code: 0, text: '' });
});

test('there are examples to run', () => {
  expect(readdirSync(FOLDER).filter((name) => name.endsWith('.mjs')).length).toBeGreaterThan(20);
});

test.each(EXAMPLES.map(({ title, file }) => [title, file] as const))('%s runs', async (_, file) => {
  const { code, text } = await run(file);
  expect([code, text]).toEqual([0, expect.not.stringMatching(/^\w*Error:|"level":(?:50|60)/m)]);
});
