// Prints the size and shape of src/ or of the folder in the argument: files, lines, functions, comments, rooms.
// `--json` prints one line. language.mjs checks the words.
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const { parseSync } = createRequire(import.meta.url)('@swc/core');
const FUNCTIONS = new Set([
  'FunctionDeclaration',
  'FunctionExpression',
  'ArrowFunctionExpression',
  'ClassMethod',
  'PrivateMethod',
  'MethodProperty',
  'Constructor',
  'GetterProperty',
  'SetterProperty',
]);

const quantile = (values, q) => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0;
};

const isComment = (line) => /^\s*(?:\/\/|\/\*|\*(?:\s|\/|$))/.test(line);

/** Lengths in lines of all functions of one file. The byte offsets of SWC continue from the file that it parsed before. */
function functionLengths(text) {
  const bytes = Buffer.from(text);
  const ast = parseSync(text, { syntax: 'typescript', target: 'es2022' });
  const shift = ast.span.end - bytes.length;
  const lengths = [];
  const visit = (node) => {
    if (Array.isArray(node)) return node.forEach(visit);
    if (node === null || typeof node !== 'object') return undefined;
    const span = node.span ?? node.function?.span;
    if (FUNCTIONS.has(node.type) && span !== undefined) {
      lengths.push(
        bytes
          .subarray(span.start - shift, span.end - shift)
          .toString()
          .split('\n').length,
      );
    }
    return Object.values(node).forEach(visit);
  };
  visit(ast.body);
  return lengths;
}

function measure(folder) {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.ts'),
  );
  const texts = new Map(files.map((name) => [name, readFileSync(join(folder, name), 'utf8')]));
  const lines = (name) => texts.get(name).trimEnd().split('\n');
  const codeLines = (name) => lines(name).filter((line) => line.trim() !== '' && !isComment(line)).length;
  const rooms =
    Map.groupBy?.(files, dirname) ??
    files.reduce((map, name) => map.set(dirname(name), [...(map.get(dirname(name)) ?? []), name]), new Map());
  const importers = new Map(files.map((name) => [name, 0]));
  for (const [name, text] of texts) {
    const targets = new Set(
      [...text.matchAll(/['"](\.{1,2}\/[^'"]+\.ts)['"]/g)].map(([, spec]) =>
        relative(folder, resolve(folder, dirname(name), spec)),
      ),
    );
    for (const target of targets) if (importers.has(target)) importers.set(target, importers.get(target) + 1);
  }
  const functions = files.flatMap((name) => functionLengths(texts.get(name)));
  const sizes = files.map((name) => lines(name).length);
  const total = sizes.reduce((sum, size) => sum + size, 0);
  const comments = files.reduce((sum, name) => sum + lines(name).filter(isComment).length, 0);
  const [largestRoom, inLargest] = [...rooms]
    .map(([name, members]) => [name, members.length])
    .sort((a, b) => b[1] - a[1])[0];
  return {
    files: files.length,
    lines: total,
    fileLines: { median: quantile(sizes, 0.5), p90: quantile(sizes, 0.9), max: Math.max(...sizes) },
    codeLinesMax: Math.max(...files.map(codeLines)),
    functions: functions.length,
    functionLines: {
      median: quantile(functions, 0.5),
      p90: quantile(functions, 0.9),
      max: Math.max(...functions),
    },
    commentShare: Number((comments / total).toFixed(3)),
    rootFiles: rooms.get('.')?.length ?? 0,
    largestRoom: { name: largestRoom, files: inLargest },
    smallFilesWithOneImporter: files.filter((name) => lines(name).length < 30 && importers.get(name) === 1),
  };
}

const folder = resolve(process.argv.slice(2).find((word) => !word.startsWith('--')) ?? join(root, 'src'));
if (!existsSync(folder)) throw new Error(`no such folder: ${folder}`);
const house = measure(folder);
console.log(process.argv.includes('--json') ? JSON.stringify(house) : JSON.stringify(house, null, 2));
