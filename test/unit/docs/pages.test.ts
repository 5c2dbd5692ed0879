import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { SCHEMA } from '../../../src/config/schema.ts';
import { METRICS } from '../../../src/export/metrics.ts';
import { ALL_KINDS, KINDS, type Threshold } from '../../../src/kinds/index.ts';
import { fillBlocks, fillKinds, leakBlocks, limitText } from '../../tools/generated-blocks.ts';
import { PAGES, readPage, ROOT } from '../../tools/pages.ts';

test.each(Object.entries(PAGES))('%s is up to date (npm run docs)', (page, makeText) => {
  expect(readPage(page)).toBe(makeText());
});

test('a generated block without a marker, and a marker without a block, are errors', () => {
  const page = '<!-- generated:a -->\nold\n<!-- /generated -->\n';
  expect(fillBlocks(page, { a: 'new' })).toBe('<!-- generated:a -->\nnew\n<!-- /generated -->\n');
  expect(() => fillBlocks(page, { a: 'new', b: 'new' })).toThrow('no marker for b');
  expect(() => fillBlocks(page, {})).toThrow('no generated block is called a');
});

test('the list of kinds in a schema is replaced, and a schema without one is an error', () => {
  const schema = '"kind": {\n      "description": "A kind.",\n      "enum": ["old"]\n    }';
  const { kind } = JSON.parse(`{${fillKinds(schema)}}`) as { kind: { enum: string[] } };
  expect(kind.enum).toEqual(ALL_KINDS);
  expect(() => fillKinds('{}')).toThrow('no list of kinds');
});

test('docs/errors.md has one heading for each code that src reports, in order, and no other heading', () => {
  const settings = new Set<string>(Object.values(SCHEMA).map(({ env }) => env));
  const codes = new Set<string>();
  const src = join(ROOT, 'src');
  for (const file of readdirSync(src, { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.ts')) continue;
    for (const [code] of readFileSync(join(src, file), 'utf8').matchAll(
      /(?<=['`])WSGUARD_[A-Z0-9_]+(?=['`: ])/g,
    )) {
      if (!settings.has(code)) codes.add(code);
    }
  }
  const headings = [...readPage('docs/errors.md').matchAll(/^### (\S+)$/gm)].map(([, code]) => code ?? '');
  expect(headings).toEqual(headings.toSorted());
  expect(headings).toEqual([...codes].toSorted());
});

test('docs/alerts.md says what each number of the evidence is, unless it is a metric', () => {
  const names = new Set<string>();
  const folder = join(ROOT, 'src', 'detect');
  for (const file of readdirSync(folder))
    for (const [, name = ''] of readFileSync(join(folder, file), 'utf8').matchAll(
      /name: '(\w+_\w+|uptime)'/g,
    ))
      names.add(name);
  expect(names.size).toBeGreaterThan(20);
  const [, section = ''] = /### evidence\n([\s\S]*?)\n### /.exec(readPage('docs/alerts.md')) ?? [];
  const metrics = new Set(METRICS.map(({ name }) => name));
  const missing = [...names].filter((name) => !metrics.has(name) && !section.includes(`\`${name}\``));
  expect(missing).toEqual([]);
});

test('each code of docs/errors.md says what happened, why, and what to do', () => {
  const [, ...sections] = readPage('docs/errors.md').split(/^### /m);
  expect(sections.length).toBeGreaterThan(40);
  for (const section of sections)
    expect(section).toMatch(
      /^WSGUARD_[A-Z0-9_]+\n\n- What happened: .+\.\n- Why: .+\.\n- What to do: .+\.\n+$/,
    );
});

const PARTS = [
  '## What it sees',
  '## The numbers',
  '## What the alert looks like',
  '## What may look like it but is not',
  '## What to do',
];

test.each([...ALL_KINDS, '_template'])('docs/leaks/%s.md has the five parts', (name) => {
  const headings = [...readPage(`docs/leaks/${name}.md`).matchAll(/^## .+$/gm)].map(([heading]) => heading);
  expect(headings).toEqual(PARTS);
});

const TEMPLATE_SENTENCES = readPage('docs/leaks/_template.md')
  .split('\n')
  .filter((line) => /^(?:# |[-*A-Z])/.test(line));

test.each(ALL_KINDS.map((kind) => [kind]))('docs/leaks/%s.md keeps nothing of the template', (kind) => {
  const lines = readPage(`docs/leaks/${kind}.md`).split('\n');
  expect(lines[0]).toBe(`# ${kind}`);
  expect(TEMPLATE_SENTENCES.length).toBeGreaterThan(4);
  expect(lines.filter((line) => TEMPLATE_SENTENCES.includes(line))).toEqual([]);
});

test.each(ALL_KINDS.map((kind) => [kind]))(
  'docs/leaks/%s.md has code with the problem and without it, which test/e2e/docs-examples.test.ts runs',
  (kind) => {
    const headings = [...readPage(`docs/leaks/${kind}.md`).matchAll(/^### .+$(?=\n\n```js)/gm)];
    expect(headings.map(([heading]) => heading)).toEqual([
      expect.stringMatching(/^### Code that (?:leaks|causes it)$/),
      expect.stringMatching(/^### The same code (?:without the leak|repaired)$/),
    ]);
  },
);

test('the decision tree, the conditions and the checklist name every kind', () => {
  const page = readPage('docs/leaks/README.md');
  expect(ALL_KINDS.filter((kind) => !page.includes(`](${kind}.md)`))).toEqual([]);
});

test('the template of a page has a marker for each generated block', () => {
  const page = fillBlocks(readPage('docs/leaks/_template.md'), leakBlocks('heap-growth'));
  expect(page).toContain('**Tonight.**');
});

test.each(ALL_KINDS.map((kind) => [kind]))('the numbers in the summary of %s are its thresholds', (kind) => {
  const { summary, thresholds, window } = KINDS[kind];
  const limits = [...Object.values<Threshold>(thresholds).map(limitText), window?.text ?? ''].join('; ');
  for (const [number] of summary.matchAll(/\d+ (?:%|ms|min)/g)) expect(limits).toContain(number);
});
