// `npm run foreign`: runs test suites of other projects without and with the agent, and compares the results.
// `npm run foreign -- <name>` runs one of the suites that published packages carry, `npm run foreign -- <folder> --
// <command>` any suite. Exits with 1 when the agent makes a difference.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { build, dependenciesAreInstalled, installDependencies, root } from '../../fixtures/prepare.mjs';
import compare from './compare.cjs';
import { SUITES } from './suites.mjs';

/** A run without the agent ends after this time. aedes, the slowest of our suites, takes 35 s on an idle machine. */
const MAX_RUN_MS = 300_000;
/** A run with the agent hangs when it takes this many times longer than the run without it, and a minute more. */
const MAX_SLOWDOWN = 3;
/** A difference counts when this many pairs of runs have it. */
const MAX_PAIRS = 5;

/** Runs a command in a shell, in a process group of its own. */
function runOnce(folder, command, env, limitMs) {
  return new Promise((done) => {
    const startedMs = performance.now();
    const child = spawn(command, {
      shell: true,
      cwd: folder,
      env: { ...cleanEnvironment(), ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    const output = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr']) {
      child[name].setEncoding('utf8').on('data', (text) => (output[name] += text));
    }
    let isHung = false;
    const killGroup = () => {
      try {
        process.kill(-child.pid, 'SIGKILL');
      } catch {
        // All processes of the group have ended.
      }
    };
    const timer = setTimeout(() => {
      isHung = true;
      killGroup();
    }, limitMs);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      killGroup();
      done({ code, signal, isHung, ms: performance.now() - startedMs, ...output });
    });
  });
}

/** A setting of the caller must not reach the suites, except those of the agent, which the caller may want to test. */
function cleanEnvironment() {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(?:npm_|NODE_OPTIONS$)/.test(name)),
  );
}

const agentEnvironment = (folder) => ({
  NODE_OPTIONS: `--require ${JSON.stringify(join(root, 'dist', 'index.js'))}`,
  // More readings than in production, where one is taken each 15 seconds.
  WSGUARD_INTERVAL_MS: process.env.WSGUARD_INTERVAL_MS ?? '1000',
  WSGUARD_DIR: folder,
});

/** Pairs of runs until one pair has no difference, at most MAX_PAIRS. */
async function compareSuite(name, folder, command) {
  const agentFolder = mkdtempSync(join(tmpdir(), 'wsguard-foreign-'));
  const bareRuns = [];
  const agentRuns = [];
  try {
    for (;;) {
      const bare = await runOnce(folder, command, { WSGUARD_ENABLED: 'false' }, MAX_RUN_MS);
      const limitMs = Math.min(MAX_RUN_MS, MAX_SLOWDOWN * bare.ms + 60_000);
      const agent = await runOnce(folder, command, agentEnvironment(agentFolder), limitMs);
      bareRuns.push(compare.summarise(bare));
      agentRuns.push(compare.summarise(agent));
      report(name, bare, bareRuns.at(-1), 'without the agent');
      report(name, agent, agentRuns.at(-1), 'with the agent   ');
      const rows = compare.differences(bareRuns, agentRuns);
      if (rows.length === 0 || bareRuns.length === MAX_PAIRS) return { rows, agents: sumOf(agentRuns) };
      console.log(
        `     ${rows.length} readings differ; another pair of runs shows whether the agent is the reason`,
      );
    }
  } finally {
    rmSync(agentFolder, { recursive: true, force: true });
  }
}

const sumOf = (runs) => runs.reduce((sum, { agents }) => sum + agents, 0);

function report(name, { ms }, { end, passed, failed, agents }, title) {
  const counts = passed === null ? 'no summary of tests' : `${passed} passed, ${failed} failing`;
  const watched = title.startsWith('with ') ? `, ${agents} processes watched` : '';
  console.log(`     ${name} ${title}: ${counts}, ${end}, ${(ms / 1000).toFixed(0)} s${watched}`);
}

/** @returns {Promise<boolean>} true when the agent makes no difference */
async function check({ name, folder, command, mustServe }) {
  const { rows, agents } = await compareSuite(name, folder, command);
  const isWatched = agents > 0 || !mustServe;
  const isSame = rows.length === 0 && isWatched;
  console.log(
    `${isSame ? 'ok  ' : 'FAIL'} ${name}: ${isSame ? 'the same results' : `${rows.length} differences`}`,
  );
  for (const row of rows)
    console.log(`     ${row.name}\n       without the agent: ${row.bare}, with: ${row.agent}`);
  if (agents === 0) console.log('     no process of this suite serves, so the agent only waited');
  return isSame;
}

function suitesOf(args) {
  const separator = args.indexOf('--');
  if (separator === 1) {
    const folder = resolve(args[0]);
    const command = args.slice(2).join(' ');
    const isFolder = statSync(folder, { throwIfNoEntry: false })?.isDirectory() === true;
    if (isFolder && command !== '') return [{ name: args[0], folder, command, mustServe: false }];
  } else if (args.every((arg) => SUITES.some(({ name }) => name === arg))) {
    const chosen = SUITES.filter(({ name }) => args.length === 0 || args.includes(name));
    return chosen.map((suite) => ({
      name: `${suite.name} ${suite.version}`,
      folder: suite.install(),
      command: suite.command,
      mustServe: suite.name !== 'sharedb',
    }));
  }
  const names = SUITES.map(({ name }) => name).join(', ');
  console.error(`npm run foreign [-- ${names}], or npm run foreign -- <folder> -- <command>`);
  return null;
}

async function main() {
  for (const task of [...(dependenciesAreInstalled() ? [] : [installDependencies]), build]) {
    const { code, output } = await task();
    if (code !== 0) throw new Error(output);
  }
  const suites = suitesOf(process.argv.slice(2));
  if (suites === null) return 2;
  const results = [];
  for (const suite of suites) results.push(await check(suite));
  const passed = results.filter(Boolean).length;
  console.log(`${passed} passed, ${results.length - passed} failed, 0 skipped`);
  return passed === results.length ? 0 : 1;
}

process.exitCode = await main();
