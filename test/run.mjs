// `npm test`: installs the dependencies when they are missing, builds, checks, and runs the unit tests with coverage.
// Meanwhile it installs the real components. Then it runs the integration and e2e tests. The last line has the counts.
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build, dependenciesAreInstalled, installDependencies, root, run } from '../fixtures/prepare.mjs';
import { coverageArguments, formatCoverage, readCoverage } from './tools/coverage.mjs';

const strict = process.env.CI === 'true';
/** Ends a run that hangs. A slow machine needs less. */
const JEST_LIMIT_MS = 45 * 60_000;
/**
 * Without a memory limit, Jest runs the files of a single worker in its own process. Its heap then exceeds what the agent lets
 * the inspector walk.
 */
const IN_WORKERS = '--workerIdleMemoryLimit=400MB';
const totals = { passed: 0, failed: 0, skipped: 0 };
const notes = [];
const startedMs = Date.now();

const seconds = (sinceMs) => `${((Date.now() - sinceMs) / 1000).toFixed(0)} s`;

async function step(title, task) {
  const since = Date.now();
  const { code, output } = await task();
  console.log(`${code === 0 ? 'ok  ' : 'FAIL'} ${title} (${seconds(since)})`);
  totals[code === 0 ? 'passed' : 'failed'] += 1;
  if (code !== 0) console.log(output.trimEnd());
  return code === 0;
}

/** Runs projects of Jest and counts their tests. `readFolder` gets the temporary folder of the run before it is removed. */
async function jest(projects, makeArguments, readFolder = () => undefined) {
  const since = Date.now();
  const dir = mkdtempSync(join(tmpdir(), 'wsguard-test-'));
  const file = join(dir, 'result.json');
  const args = [join(root, 'node_modules', 'jest', 'bin', 'jest.js'), '--selectProjects', ...projects];
  const { signal } = await run(
    process.execPath,
    [...args, ...makeArguments(dir), '--json', `--outputFile=${file}`],
    {
      limitMs: JEST_LIMIT_MS,
      // A setting of the person who runs the tests must not reach the servers under test.
      env: { NODE_OPTIONS: '', FORCE_COLOR: '0' },
    },
  );
  if (!existsSync(file)) {
    console.log(`FAIL ${projects.join(' and ')}: no result (${signal ?? 'jest did not run'})`);
    totals.failed += 1;
    return;
  }
  count(JSON.parse(readFileSync(file, 'utf8')), projects.join(' and '), since);
  readFolder(dir);
  rmSync(dir, { recursive: true });
}

function count(result, title, since) {
  const broken = result.testResults.filter(
    ({ status, assertionResults }) => status === 'failed' && assertionResults.length === 0,
  );
  const failed = result.numFailedTests + broken.length;
  const skipped = result.numPendingTests + result.numTodoTests;
  totals.passed += result.numPassedTests;
  totals.failed += failed;
  totals.skipped += skipped;
  const verdict = failed === 0 ? 'ok  ' : 'FAIL';
  console.log(
    `${verdict} ${title} tests: ${result.numPassedTests} passed, ${failed} failed, ${skipped} skipped (${seconds(since)})`,
  );
  for (const suite of result.testResults) {
    if (suite.status === 'failed') console.log(suite.message.trimEnd());
    for (const test of suite.assertionResults) {
      if (test.status === 'pending' || test.status === 'todo') notes.push(`skipped: ${test.fullName}`);
    }
  }
}

function checkCoverage(folder) {
  const rows = readCoverage(folder, root);
  const isEnough = rows.every((row) => row.isEnough);
  totals[isEnough ? 'passed' : 'failed'] += 1;
  console.log(`${isEnough ? 'ok  ' : 'FAIL'} coverage of the unit tests`);
  for (const row of rows) console.log(formatCoverage(row));
}

async function installComponents() {
  // Without a name the command installs all components.
  const args = [join('fixtures', 'components', 'cli.mjs'), '--json'];
  const { output } = await run(process.execPath, args);
  return output;
}

async function main() {
  if (!dependenciesAreInstalled() && !(await step('npm ci', installDependencies))) return;
  const components = installComponents();
  if (!(await step('build', build))) {
    await components;
    return;
  }
  await step('language, types, lint, format', () =>
    run(process.execPath, [join('test', 'tools', 'check.mjs'), '--static']),
  );
  await jest(
    ['unit'],
    (folder) => [...coverageArguments(folder), '--maxWorkers=2', IN_WORKERS],
    checkCoverage,
  );
  reportComponents(await components);
  // One file at a time: a server, its clients and the child processes of the agent need both cores of a small machine.
  await jest(['integration', 'e2e'], () => ['--maxWorkers=1', IN_WORKERS]);
}

function reportComponents(output) {
  let outcomes = [];
  try {
    outcomes = JSON.parse(output.slice(output.indexOf('[')));
  } catch {
    console.log(`FAIL real components: ${output.trim()}`);
    totals.failed += 1;
  }
  const missing = outcomes.filter(({ did }) => did === 'missing');
  const present = outcomes.length - missing.length;
  console.log(
    `${missing.length === 0 ? 'ok  ' : 'note'} real components: ${present} of ${outcomes.length} installed`,
  );
  for (const { name, because, command } of missing) {
    notes.push(`missing: ${name} (${because}). Install it with: ${command}`);
  }
}

await main();
for (const note of notes) console.log(note);
if (strict && totals.skipped > 0) console.log('CI=true: a skipped test is a failure');
console.log(`in ${seconds(startedMs)}`);
console.log(`${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`);
process.exit(totals.failed > 0 || (strict && totals.skipped > 0) ? 1 : 0);
