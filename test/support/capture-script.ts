/** Scripts that take forked captures in a process of their own, because a fork of Jest would be a copy of Jest. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export const DIST = join(__dirname, '..', '..', 'dist');

const PRELUDE = `
  const { HeapAnalyzer } = require(${JSON.stringify(join(DIST, 'heap-analyzer.js'))});
  const fs = require('node:fs');
  globalThis.kept = Array.from({ length: 200 }, (_, i) => ({ token: Buffer.from('planted-secret-' + i).toString() }));
  const print = (value) => console.log(JSON.stringify(value));
  // On a busy machine the fork takes longer than the default budget, and the next snapshot would be refused.
  const defaults = { snapshotDir: 's', method: 'fork', pauseBudgetMs: 60_000 };
  const take = (options) => new HeapAnalyzer({ ...defaults, ...options }).takeSnapshot('x');
  const children = () => fs.readFileSync('/proc/self/task/' + process.pid + '/children', 'utf8').trim().split(' ').filter(Boolean);
  const nameOf = (pid) => { try { return fs.readFileSync('/proc/' + pid + '/comm', 'utf8').trim(); } catch { return ''; } };
  /** Resolves with the pid of the forked child once it has set itself up. */
  const child = async () => {
    for (;;) {
      const pid = children().find((pid) => nameOf(pid) === 'wsguard-capture');
      if (pid !== undefined) return Number(pid);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  };
`;

/** The script has `take()`, `child()`, `children()` and `print()`. Returns its path. */
export function writeScript(dir: string, script: string): string {
  writeFileSync(join(dir, 'script.cjs'), PRELUDE + script);
  return join(dir, 'script.cjs');
}

interface RunOptions {
  readonly cwd?: string;
  readonly flags?: readonly string[];
  /** A program that starts Node. */
  readonly launcher?: readonly string[];
}

/** Runs a script in `dir`, and returns what it printed. */
export function runScript(
  dir: string,
  script: string,
  { cwd = dir, flags = [], launcher = [] }: RunOptions = {},
): unknown[] {
  const [program, ...args] = [...launcher, process.execPath, ...flags, writeScript(dir, script)];
  return execFileSync(program!, args, { cwd, encoding: 'utf8' })
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as unknown);
}

/** A child whose parent is gone may wait as a zombie for the init process. */
export function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

/** Names of the snapshots and of unfinished files that scripts in `dir` wrote. */
export const writtenFiles = (dir: string): string[] =>
  (existsSync(join(dir, 's')) ? readdirSync(join(dir, 's')) : []).filter((name) => name.includes('heap-'));
