/** The tests in C of native/test, under the sanitizers of addresses and behaviour. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const NATIVE = join(__dirname, '..', '..', '..', 'native');
/** Not the temporary directory, which may be in memory. */
const BUILD = join(NATIVE, 'build');
const SANITIZERS = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all'];
const FLAGS = ['-std=c11', '-Wall', '-Wextra', '-Werror', '-g', '-O1', ...SANITIZERS];
const compiler = process.env['CC'] ?? 'cc';
const hasCompiler = process.platform === 'linux' && spawnSync(compiler, ['--version']).status === 0;

const withCompiler = hasCompiler ? test : test.skip;
withCompiler.each([
  ['the buffers of names', 'name-buffers', ['name-buffers'], [[]]],
  ['the allocator, while its memory moves to a file', 'arena', ['arena', 'spilled-memory'], [['1'], ['2']]],
])('%s', (_, name, sources, runs) => {
  mkdirSync(BUILD, { recursive: true });
  const dir = mkdtempSync(join(BUILD, 'test-'));
  try {
    const program = join(dir, 'test');
    const files = [
      join(NATIVE, 'test', `${name}.test.c`),
      ...sources.map((source) => join(NATIVE, 'src', `${source}.c`)),
    ];
    const compiled = spawnSync(compiler, [...FLAGS, ...files, '-o', program], { encoding: 'utf8' });
    expect(compiled.stderr).toBe('');
    for (const args of runs) {
      const { status, stderr } = spawnSync(program, [dir, ...args], { encoding: 'utf8' });
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    }
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});
