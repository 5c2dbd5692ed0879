// `npm run check`: types, lint, format, language and the fast unit tests, all at once. `--static` leaves out the tests.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const bin = (name) => join(root, 'node_modules', '.bin', name);
const FOLDERS = ['src', 'test', 'fixtures'];
/** Makes tsc check only the files that changed since its last run. */
const incremental = (name) => [
  '--incremental',
  '--tsBuildInfoFile',
  join('node_modules', '.cache', 'check', `${name}.tsbuildinfo`),
];

/**
 * Unit tests that only `npm test` runs. They take two thirds of the CPU time of all unit tests: hours of simulated
 * samples, random inputs and generated pages.
 */
const SLOW_UNIT_TESTS = [
  'alert/alerts',
  'analyse/dominators',
  'analyse/shared-retention',
  'capture/allocation-profile',
  'cli/replay',
  'detect/kinds',
  'detect/properties',
  'detect/ramps',
  'detect/silence',
  'detect/silence-counts',
  'detect/time-to-limit',
  'detect/transitions',
  'docs/pages',
  'docs/schemas',
  'heapsnapshot/tokenizer',
  'investigate/properties',
];

const steps = [
  { name: 'language', command: process.execPath, args: [join('test', 'tools', 'language.mjs')] },
  { name: 'types of src', command: bin('tsc'), args: ['-p', '.', '--noEmit', ...incremental('src')] },
  { name: 'types of test', command: bin('tsc'), args: ['-p', 'test', ...incremental('test')] },
  { name: 'lint', command: bin('oxlint'), args: ['--type-aware', '--deny-warnings', ...FOLDERS] },
  {
    name: 'format',
    command: bin('prettier'),
    args: [
      ...['--check', '--log-level=warn', '--cache', '--cache-strategy=content'],
      // A run of prettier without --cache deletes the cache at its default location.
      `--cache-location=${join('node_modules', '.cache', 'check', 'prettier.json')}`,
      ...['--no-error-on-unmatched-pattern', ...FOLDERS, 'jest.config.ts'],
    ],
  },
];
if (!process.argv.includes('--static')) {
  const missing = SLOW_UNIT_TESTS.filter(
    (name) => !existsSync(join(root, 'test', 'unit', `${name}.test.ts`)),
  );
  if (missing.length > 0)
    throw new Error(`SLOW_UNIT_TESTS lists files that do not exist: ${missing.join(', ')}`);
  const slow = `/test/unit/(?:${SLOW_UNIT_TESTS.join('|')})\\.test\\.ts$`;
  steps.push({
    name: `unit tests, without the ${SLOW_UNIT_TESTS.length} slow files that npm test runs too`,
    command: bin('jest'),
    args: ['--selectProjects', 'unit', '--silent', '--maxWorkers=100%', `--testPathIgnorePatterns=${slow}`],
  });
}

/** Runs a step, and prints its duration, and its output when it fails. Resolves with whether it passed. */
function run({ name, command, args }) {
  return new Promise((resolve) => {
    const startedMs = Date.now();
    const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    child.stdout.on('data', (chunk) => (output += chunk));
    child.stderr.on('data', (chunk) => (output += chunk));
    child.on('close', (code) => {
      const seconds = ((Date.now() - startedMs) / 1000).toFixed(1);
      console.log(`${code === 0 ? 'ok  ' : 'FAIL'} ${name} (${seconds} s)`);
      if (code !== 0) console.log(output.trimEnd());
      resolve(code === 0);
    });
  });
}

const results = await Promise.all(steps.map(run));
process.exit(results.every(Boolean) ? 0 : 1);
