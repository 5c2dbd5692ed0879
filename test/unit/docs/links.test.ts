/** Every link and every path in the pages, and every page that a comment cites, exists. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

const ROOT = join(__dirname, '..', '..', '..');
const filesIn = (folder: string, extension: RegExp): string[] =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => extension.test(name) && !name.includes('node_modules'))
    .map((name) => join(ROOT, folder, name));

const PAGES = [
  ...['README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'CHANGELOG.md'].map((name) => join(ROOT, name)),
  ...filesIn('docs', /\.md$/),
];

/** GitHub's anchor of a heading: lower case, punctuation removed, spaces as dashes. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}_ -]/gu, '')
    .replace(/ /g, '-');
const anchorsOf = (file: string): string[] =>
  [...readFileSync(file, 'utf8').matchAll(/^#{1,6} (.+)$/gm)].map(([, heading]) => anchorOf(heading ?? ''));

function brokenLinks(file: string): string[] {
  const text = readFileSync(file, 'utf8').replace(/^```[^]*?^```$/gm, '');
  return [...text.matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, target = '']) => {
    if (/^https?:/.test(target)) return [];
    const [path = '', anchor] = target.split('#');
    const linked = path === '' ? file : resolve(dirname(file), path);
    if (!existsSync(linked)) return [target];
    return anchor === undefined || anchorsOf(linked).includes(anchor) ? [] : [target];
  });
}

/** Paths of this repository in backticks. Patterns and placeholders are not paths. */
function missingPaths(text: string): string[] {
  return [...text.matchAll(/`((?:src|test|docs|fixtures)\/[\w./-]+)`/g)].flatMap(([, path = '']) =>
    existsSync(join(ROOT, path)) ? [] : [path],
  );
}

test.each(PAGES.map((file) => [relative(ROOT, file)]))('%s: its links and paths exist', (name) => {
  const file = join(ROOT, name);
  expect([...brokenLinks(file), ...missingPaths(readFileSync(file, 'utf8'))]).toEqual([]);
});

test('every page that a comment or a message cites exists', () => {
  const missing = ['src', 'test', 'fixtures']
    .flatMap((folder) => filesIn(folder, /\.(?:ts|mjs|cjs|js)$/))
    .flatMap((file) =>
      [...readFileSync(file, 'utf8').matchAll(/\bdocs\/[\w/-]+\.(?:md|json)\b/g)]
        .filter(([path]) => !existsSync(join(ROOT, path)))
        .map(([path]) => `${relative(ROOT, file)}: ${path}`),
    );
  expect(missing).toEqual([]);
});
