// Checks the language of comments, names and pages, by docs/glossary.md. `node test/tools/language.mjs [path ...]` reads
// all code and pages when no path is given, prints one line per problem, and exits with 1 when there is one.
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

const BANNED_OPENINGS = ['What', 'Of', 'Where', 'Who', 'By', 'So many', 'Nor', 'As', 'That'];
/** Documents outside the repository, which a reader of a comment does not have. */
const OUTSIDE_DOCUMENTS = /\bshared\/|\bINTERFACES\b|\bDESIGN\b(?!_)|\bSEEDS\b|\bFACTS\b/;
/** Retired words that are also public field and metric names. Code may use them, comments may not. */
const PUBLIC_NAMES = ['unaskable', 'floor'];
const DEFAULT_PATHS = [
  'src',
  'native',
  'test',
  'fixtures',
  'docs',
  'README.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
];
/** Files that contain the banned words on purpose. */
const EXEMPT = ['docs/glossary.md', 'test/tools/language.mjs', 'test/unit/language.test.ts'];

/** The words in backticks of the glossary's last column, each with the terms of the first column. */
function readRetiredWords() {
  const rows = readFileSync(join(root, 'docs', 'glossary.md'), 'utf8').matchAll(
    /^\|([^|]+)\|[^|]+\|([^|]+)\|$/gm,
  );
  return [...rows].flatMap(([, terms, retired]) =>
    [...retired.matchAll(/`([^`]+)`/g)].map(([, word]) => ({
      word,
      instead: terms.trim(),
      pattern: patternOf(word),
    })),
  );
}

/** Matches a word alone, its plural, and as a part of a name in camel case or capitals. A phrase may span two lines. */
function patternOf(word) {
  const phrase = (text) => text.replaceAll(' ', '[\\s*/]+');
  const capitalised = word.charAt(0).toUpperCase() + word.slice(1);
  return new RegExp(
    `(?:(?<![A-Za-z])${phrase(word)}|${phrase(capitalised)})s?(?![a-z])|(?<![A-Za-z])${phrase(word.toUpperCase())}S?(?![A-Za-z])`,
  );
}

function sourceFiles(path) {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path, { withFileTypes: true }).flatMap((entry) => {
    const child = join(path, entry.name);
    // The folders of fixtures/real contain the code of other projects.
    const isForeign = /^fixtures\/real\/[^/]+\//.test(relative(root, child));
    if (entry.name === 'node_modules' || isForeign) return [];
    if (entry.isDirectory()) return sourceFiles(child);
    return /\.(?:ts|mjs|cjs|js|md)$/.test(entry.name) ? [child] : [];
  });
}

/** All comments: blocks, runs of line comments, and comments behind code. Each with its first line and its text. */
function readComments(lines) {
  const comments = [];
  let open = null;
  lines.forEach((line, index) => {
    const block = /^\s*\/\*\*?(.*)$/.exec(line);
    const lineComment = /^(\s*|.*\s)\/\/ (.*)$/.exec(line);
    if (open?.isBlock) open.text += ` ${line.replace(/^\s*\*(?!\/)/, '')}`;
    else if (block !== null) comments.push((open = { index, text: block[1], isBlock: true }));
    else if (lineComment === null) open = null;
    else if (open !== null && lineComment[1].trim() === '') open.text += ` ${lineComment[2]}`;
    else comments.push((open = { index, text: lineComment[2], isBlock: false }));
    if (open?.isBlock && line.includes('*/')) open = null;
  });
  return comments.map(({ index, text }) => ({
    index,
    text: text
      .replace(/\*\/.*$/, '')
      .replaceAll(/\s+/g, ' ')
      .trim(),
  }));
}

function commentProblems({ text }, retired) {
  const problems = [];
  const opening = BANNED_OPENINGS.find((word) => new RegExp(`^${word}\\b`).test(text));
  if (opening !== undefined)
    problems.push(`comment opens with "${opening}": write a sentence with subject and verb: ${text}`);
  const document = OUTSIDE_DOCUMENTS.exec(text);
  if (document !== null)
    problems.push(`comment cites "${document[0]}": cite a page of docs/, or give the fact itself`);
  const prose = text.replaceAll(/`[^`]*`/g, '');
  for (const { word, instead, pattern } of retired) {
    if (PUBLIC_NAMES.includes(word) && pattern.test(prose))
      problems.push(`"${word}" is a retired word: write "${instead}"`);
  }
  return problems;
}

function fileProblems(file, retired) {
  const text = readFileSync(file, 'utf8');
  const problems = readComments(text.split('\n')).flatMap((comment) =>
    commentProblems(comment, retired).map((problem) => ({ line: comment.index + 1, problem })),
  );
  for (const { word, instead, pattern } of retired) {
    if (PUBLIC_NAMES.includes(word)) continue;
    for (const { index } of text.matchAll(new RegExp(pattern, 'g'))) {
      const line = text.slice(0, index).split('\n').length;
      problems.push({ line, problem: `"${word}" is a retired word: write "${instead}"` });
    }
  }
  return problems
    .sort((a, b) => a.line - b.line)
    .map(({ line, problem }) => `${relative(root, file)}:${line} ${problem}`);
}

const paths = process.argv.length > 2 ? process.argv.slice(2) : DEFAULT_PATHS;
const retired = readRetiredWords();
const files = paths
  .flatMap((path) => sourceFiles(resolve(root, path)))
  .filter((file) => !EXEMPT.includes(relative(root, file)));
const problems = files.flatMap((file) => fileProblems(file, retired));
for (const problem of problems) console.log(problem);
console.log(`${files.length} files, ${problems.length} problems`);
process.exitCode = problems.length > 0 ? 1 : 0;
