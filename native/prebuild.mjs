// Builds native/prebuilt for all targets: `node native/prebuild.mjs`. The compiler is zig, from PyPI, with a fixed version, so
// that the same sources give the same bytes on every machine. `--check` compares with the stored checksums instead.
// Needs python3 with venv, and Node's headers.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { BINARY, FLAGS, NATIVE, nodeHeaders, PREBUILT, sources, TARGETS } from './targets.mjs';

const ZIG_VERSION = '0.17.1';
const CHECKSUMS = join(PREBUILT, 'SHA256SUMS');
const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache');
const environment = join(cache, 'wsguard-zig', ZIG_VERSION);

function run(command, args) {
  const { status, error, stdout, stderr } = spawnSync(command, args, { cwd: NATIVE, encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} failed:\n${error?.message ?? stderr}`);
  return stdout.trim();
}

/** Installs zig into the cache of this user. Returns its Python. */
function installZig() {
  const python = join(environment, 'bin', 'python');
  if (!existsSync(join(environment, 'installed'))) {
    run('python3', ['-m', 'venv', environment]);
    run(python, ['-m', 'pip', 'install', '--quiet', `ziglang==${ZIG_VERSION}`]);
    writeFileSync(join(environment, 'installed'), '');
  }
  return python;
}

/** The format of `sha256sum`: run `sha256sum -c SHA256SUMS` in native/prebuilt. */
const checksumLine = (file, name) =>
  `${createHash('sha256').update(readFileSync(file)).digest('hex')}  ${name}`;

function buildAll(folder) {
  const headers = nodeHeaders();
  if (headers === null) throw new Error('no node_api.h beside node or in /usr/include/node');
  const python = installZig();
  // A changed source without a new build must not go unnoticed, so the sources are listed too.
  const lines = readdirSync(join(NATIVE, 'src'))
    .sort()
    .map((name) => checksumLine(join(NATIVE, 'src', name), `../src/${name}`));
  for (const [name, target] of Object.entries(TARGETS)) {
    mkdirSync(join(folder, name), { recursive: true });
    const output = join(folder, name, BINARY);
    const args = ['-m', 'ziglang', 'cc', '-target', target, '-s', ...FLAGS, '-I', headers, ...sources()];
    run(python, [...args, '-o', output]);
    lines.push(checksumLine(output, `${name}/${BINARY}`));
    console.log(`${name}: ${statSync(output).size} bytes`);
  }
  return `${lines.join('\n')}\n`;
}

if (process.argv.includes('--check')) {
  const folder = mkdtempSync(join(tmpdir(), 'wsguard-prebuilt-'));
  try {
    const isSame = buildAll(folder) === readFileSync(CHECKSUMS, 'utf8');
    console.log(isSame ? 'the prebuilt binaries are those of the sources' : 'the prebuilt binaries differ');
    process.exitCode = isSame ? 0 : 1;
  } finally {
    rmSync(folder, { recursive: true });
  }
} else writeFileSync(CHECKSUMS, buildAll(PREBUILT));
