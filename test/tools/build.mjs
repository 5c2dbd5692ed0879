// Builds dist/ from src/. Does nothing when dist is newer than all of its sources.
// With ANYWAY=1 it builds in spite of type errors. Compiles the addon of native/ when there is a C compiler.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'acorn';
import { compileAddon } from '../../native/compile.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const stamp = join(root, 'dist', '.built');
const TSC = join(root, 'node_modules', 'typescript', 'bin', 'tsc');

function newestMs(path) {
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.mtimeMs;
  return readdirSync(path).reduce(
    (newest, name) => Math.max(newest, newestMs(join(path, name))),
    stat.mtimeMs,
  );
}

async function compile(...flags) {
  const tsc = spawn(process.execPath, [TSC, '-p', root, ...flags], { stdio: 'inherit' });
  const [status] = await once(tsc, 'exit');
  if (status !== 0 && !process.env.ANYWAY) process.exit(status ?? 1);
}

/** One space for each level instead of four: 9 % of the bytes that the application's heap keeps. Template texts stay. */
function shortenIndentation(code) {
  const templates = [];
  parse(code, {
    ecmaVersion: 'latest',
    allowHashBang: true,
    onToken: ({ type, start, end }) => {
      if (type.label === 'template') templates.push({ start, end });
    },
  });
  return code.replace(/(?<=\n) +/g, (spaces, at) => {
    const isText = templates.some(({ start, end }) => start <= at && at <= end);
    return isText ? spaces : ' '.repeat(Math.floor(spaces.length / 4));
  });
}

/** V8 keeps a text with one character beyond Latin-1 at two bytes for each character. */
const withoutWideCharacters = (code) =>
  code.replace(/[^\0-\xff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);

/**
 * tsc rewrites `.ts` in imports, but not in the `require` calls that load a file with its first use. Its indentation cannot be
 * set.
 */
function rewriteFiles(folder) {
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.name.endsWith('.js')) continue;
    const file = join(entry.parentPath ?? entry.path, entry.name);
    const text = readFileSync(file, 'utf8');
    const rewritten = text.replace(/\brequire\('(\.{1,2}\/[^']+)\.ts'\)/g, "require('$1.js')");
    writeFileSync(file, withoutWideCharacters(shortenIndentation(rewritten)));
  }
}

const sources = ['src', 'tsconfig.json', 'package.json'].map((name) => newestMs(join(root, name)));
if (
  process.argv.includes('--force') ||
  !existsSync(stamp) ||
  statSync(stamp).mtimeMs < Math.max(...sources)
) {
  rmSync(join(root, 'dist'), { recursive: true, force: true });
  // V8 keeps the source text of loaded files in the application's heap, so the JavaScript has no comments: 40 kB less for
  // a running agent. The declarations keep the docstrings of the public API.
  await Promise.all([
    compile('--declaration', 'false', '--removeComments', '--noCheck'),
    compile('--emitDeclarationOnly'),
  ]);
  rewriteFiles(join(root, 'dist'));
  const cli = join(root, 'dist', 'cli', 'main.js');
  if (existsSync(cli)) chmodSync(cli, 0o755);
  writeFileSync(stamp, '');
}
compileAddon();
