// `npm run check`: types, language, lint, format, unit tests. Meant to stay under 20 s. `--static` leaves the tests out.
import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const bin = (name) => join(root, 'node_modules', '.bin', name);

const steps = [
  ['types of src', bin('tsc'), ['-p', '.', '--noEmit']],
  ['types of test', bin('tsc'), ['-p', 'test']],
  ['language', process.execPath, [join('test', 'tools', 'language.mjs')]],
  ['lint', bin('oxlint'), ['--type-aware', '--deny-warnings', 'src', 'test', 'fixtures']],
  [
    'format',
    bin('prettier'),
    [
      '--check',
      '--cache',
      '--cache-strategy=content',
      '--log-level',
      'warn',
      '--no-error-on-unmatched-pattern',
      'src',
      'test',
      'fixtures',
      'jest.config.ts',
    ],
  ],
];
if (!process.argv.includes('--static')) {
  steps.push(['unit tests', bin('jest'), ['--selectProjects', 'unit', '--silent', '--maxWorkers=100%']]);
}

function run([name, command, args]) {
  return new Promise((resolve) => {
    const started = Date.now();
    const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    child.stdout.on('data', (chunk) => (output += chunk));
    child.stderr.on('data', (chunk) => (output += chunk));
    child.on('close', (code) => {
      console.log(
        `${code === 0 ? 'ok  ' : 'FAIL'} ${name} (${((Date.now() - started) / 1000).toFixed(1)} s)`,
      );
      if (code !== 0 || name === 'unit tests') console.log(output.trimEnd());
      resolve(code === 0);
    });
  });
}

const results = [];
for (const step of steps) results.push(await run(step));
process.exit(results.every(Boolean) ? 0 : 1);
