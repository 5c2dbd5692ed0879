// Builds dist/ from src/. Skips when dist is newer than everything it is made of.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const stamp = join(root, 'dist', '.built');

function newestMs(path) {
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.mtimeMs;
  return readdirSync(path).reduce(
    (newest, name) => Math.max(newest, newestMs(join(path, name))),
    stat.mtimeMs,
  );
}

/** tsc rewrites the `.ts` of imports, not of the `require` calls that load a part of ours when it is needed. */
function rewriteRequires(folder) {
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.name.endsWith('.js')) continue;
    const file = join(entry.parentPath ?? entry.path, entry.name);
    const text = readFileSync(file, 'utf8');
    const rewritten = text.replace(/\brequire\('(\.{1,2}\/[^']+)\.ts'\)/g, "require('$1.js')");
    if (rewritten !== text) writeFileSync(file, rewritten);
  }
}

const sources = ['src', 'tsconfig.json', 'package.json'].map((name) => newestMs(join(root, name)));
if (
  process.argv.includes('--force') ||
  !existsSync(stamp) ||
  statSync(stamp).mtimeMs < Math.max(...sources)
) {
  rmSync(join(root, 'dist'), { recursive: true, force: true });
  const tsc = spawnSync(
    process.execPath,
    [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', root],
    {
      stdio: 'inherit',
    },
  );
  if (tsc.status !== 0 && !process.env.ANYWAY) process.exit(tsc.status ?? 1);
  rewriteRequires(join(root, 'dist'));
  const cli = join(root, 'dist', 'cli', 'main.js');
  if (existsSync(cli)) chmodSync(cli, 0o755);
  writeFileSync(stamp, '');
}
