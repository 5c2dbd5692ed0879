import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { configurationPage } from '../../../src/config/configuration-page.ts';
import { SCHEMA } from '../../../src/config/schema.ts';
import { metricsPage } from '../../../src/export/metrics-page.ts';
import { ALL_KINDS } from '../../../src/kinds/index.ts';

const ROOT = join(__dirname, '..', '..', '..');
const doc = (name: string): string => readFileSync(join(ROOT, 'docs', name), 'utf8');

test('docs/configuration.md and docs/metrics.md are what the tables say (npm run docs)', () => {
  expect(doc('configuration.md')).toBe(configurationPage());
  expect(doc('metrics.md')).toBe(metricsPage());
});

test('every code that src can report has one heading in docs/errors.md, in order, and no heading is left over', () => {
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
  const headings = [...doc('errors.md').matchAll(/^### (\S+)$/gm)].map(([, code]) => code ?? '');
  expect(headings).toEqual(headings.toSorted());
  expect(headings).toEqual([...codes].toSorted());
});

const PARTS = [
  '## What it sees',
  '## The numbers',
  '## What the alert looks like',
  '## What may look like it',
  '## What to do',
];

test.each(ALL_KINDS.map((kind) => [kind]))('docs/leaks/%s.md has its five parts', (kind) => {
  const file = join(ROOT, 'docs', 'leaks', `${kind}.md`);
  expect(existsSync(file)).toBe(true);
  const headings = [...readFileSync(file, 'utf8').matchAll(/^## .+$/gm)].map(([heading]) => heading);
  expect(headings).toHaveLength(PARTS.length);
  PARTS.forEach((part, i) => expect(headings[i]?.startsWith(part)).toBe(true));
});
