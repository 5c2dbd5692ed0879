// Refuses comments that open with a word of the list and names that the project has retired (docs/glossary.md).
// `node test/tools/language.mjs [path ...]`; without a path it reads src, test and fixtures.
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const OPENINGS = /^(?:What|Of|Where|Who|By|So many|Nor|As|That)\b/;
/** Words that no identifier and no comment may use, each with the word to use instead. */
const RETIRED = [
  [/\b(?:[Bb]ed|makeBed)\b/, 'context, runtime'],
  [/\b(?:Ears|createEars|ears)\b/, 'handlers'],
  [/\b[Cc]amera\b|\bcreateCamera\b/, 'heap snapshotter'],
  [/\b(?:createFace|Face)\b/, 'public API'],
  [/\b[Qq]uestioner\b|\bcreateQuestioner\b/, 'ping scheduler'],
  [/\b[Bb]irths\b/, 'emitter tracker'],
  [/\basWritten\b/, 'mapToSource'],
  [/\b(?:say|said)[A-Z]\w*/, 'format...'],
  [/\bunaskable\b/i, 'cannot be probed'],
  [/\bculpritOf\b|\bwithoutExcuse\b|\bexcuses?\b/, 'suppression, expected growth'],
  [/\b(?:floors|Floors|FloorTrend|floorTrend)\b/, 'post-GC heap'],
  [/\bleft behind\b/, 'leaked'],
  [/\bnot answering\b|\bno longer answer/, 'unresponsive'],
  [/\bheld by\b/, 'retained by'],
  [/\bthe way (?:it|a \w+) is held\b/, 'retaining path'],
];
/** Public names of the interface stay although a word of them is retired. */
const PUBLIC =
  /wsguard_connections_unaskable|connections\.unaskable|\bunaskable(?=['"]?\s*[:,;)}\]]|\b\s*\})|\bunaskable\b(?=[^a-z]*$)/g;

function sourceFiles(path) {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path, { withFileTypes: true }).flatMap((entry) => {
    if (entry.name === 'node_modules') return [];
    const child = join(path, entry.name);
    if (/^fixtures\/real\/[^/]+\//.test(relative(root, child))) return [];
    if (entry.isDirectory()) return sourceFiles(child);
    return /\.(?:ts|mjs|cjs|js)$/.test(entry.name) ? [child] : [];
  });
}

/** The first line of each comment: a block, a run of line comments, or one at the end of a line of code. */
function* commentOpenings(lines) {
  let inBlock = false;
  for (let at = 0; at < lines.length; at += 1) {
    const line = lines[at] ?? '';
    const block = /^\s*\/\*\*?\s*(.*)$/.exec(line);
    if (block !== null) {
      const text = block[1] === '' ? (lines[at + 1] ?? '').replace(/^\s*\*\s?/, '') : block[1];
      yield [at, text ?? ''];
      inBlock = !line.includes('*/');
      continue;
    }
    if (inBlock) {
      inBlock = !line.includes('*/');
      continue;
    }
    const lineComment = /(^|\s)\/\/ (.*)$/.exec(line);
    const before = lines[at - 1] ?? '';
    if (lineComment !== null && !(/^\s*\/\//.test(line) && /^\s*\/\//.test(before)))
      yield [at, lineComment[2] ?? ''];
  }
}

function problemsIn(file) {
  const lines = readFileSync(file, 'utf8').split('\n');
  const place = (at) => `${relative(root, file)}:${at + 1}`;
  const problems = [];
  for (const [at, text] of commentOpenings(lines)) {
    const opening = OPENINGS.exec(text);
    if (opening !== null) problems.push(`${place(at)} a comment opens with "${opening[0]}": ${text}`);
  }
  lines.forEach((line, at) => {
    const text = line.replace(PUBLIC, '');
    for (const [pattern, instead] of RETIRED) {
      const word = pattern.exec(text);
      if (word !== null) problems.push(`${place(at)} "${word[0]}" is retired, use: ${instead}`);
    }
  });
  return problems;
}

const paths = process.argv.slice(2).filter((word) => !word.startsWith('--'));
const self = fileURLToPath(import.meta.url);
const files = (paths.length === 0 ? ['src', 'test', 'fixtures'] : paths).flatMap((path) =>
  sourceFiles(join(root, path)),
);
const problems = files.filter((file) => file !== self).flatMap(problemsIn);
if (problems.length > 0) console.log(problems.join('\n'));
console.log(`${files.length} files, ${problems.length} problems`);
process.exitCode = problems.length > 0 ? 1 : 0;
