// Compiles the addon for this machine into native/build, when there is a C compiler. Without one the prebuilt binary is
// used. Run directly, it says what it did: `node native/compile.mjs`.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BINARY, FLAGS, NATIVE, nodeHeaders, sources } from './targets.mjs';

const output = join(NATIVE, 'build', BINARY);

function isCurrent() {
  if (!existsSync(output)) return false;
  const files = readdirSync(join(NATIVE, 'src')).map((name) => join(NATIVE, 'src', name));
  const newestMs = Math.max(...files.map((file) => statSync(file).mtimeMs));
  return statSync(output).mtimeMs > newestMs;
}

/** Returns a sentence that says what it did. Throws when a compiler is there and fails. */
export function compileAddon() {
  if (process.platform !== 'linux') return `no addon: ${process.platform} has no forked capture`;
  if (isCurrent()) return 'the addon is up to date';
  // An old binary would be used in place of the prebuilt one.
  rmSync(output, { force: true });
  const headers = nodeHeaders();
  if (headers === null) return 'the addon was not compiled: no node_api.h found; the prebuilt binary is used';
  const compiler = process.env.CC ?? 'cc';
  mkdirSync(join(NATIVE, 'build'), { recursive: true });
  const args = [...FLAGS, '-I', headers, ...sources(), '-o', output];
  const { status, error, stderr } = spawnSync(compiler, args, { cwd: NATIVE, encoding: 'utf8' });
  if (error?.code === 'ENOENT')
    return `the addon was not compiled: there is no ${compiler}; the prebuilt binary is used`;
  if (status !== 0) throw new Error(`${compiler} failed:\n${error?.message ?? stderr}`);
  return `compiled ${output}`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(compileAddon());
