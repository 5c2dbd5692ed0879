/** A child process that must not hurt its parent: watched by its RSS and by what memory is left to all. */

import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { setPriority } from 'node:os';
import type { Socket } from 'node:net';
import type { Clock, Failed, Refused, Stop } from '../types/index.ts';
import { failureFrom } from '../core/outcome.ts';
import { throttle } from './cpu-share.ts';

export interface ChildOptions {
  /** A script; it gets `job` as JSON on stdin, answers on stdout and speaks of progress on stderr. */
  readonly entry: string;
  readonly job: unknown;
  /** V8's own heap; typed arrays lie outside it, hence the watch. */
  readonly heapMib: number;
  readonly maxRssBytes: number;
  /** Less than this left to all ends it. */
  readonly reserveBytes: number;
  readonly headroom: () => number | null;
  readonly deadlineMs: number;
  /** Of one core. */
  readonly share: number;
  /** False: the process may end before the child does, and takes it along. */
  readonly keepAlive: boolean;
  readonly onStart?: (pid: number) => void;
  readonly onProgress?: (line: string) => void;
}
export type ChildOutcome = { readonly outcome: 'done'; readonly stdout: string } | Refused | Failed;

const WATCH_MS = 100;
const MAX_STDOUT_BYTES = 32 << 20;
const MAX_STDERR_BYTES = 64 << 10;
const NICENESS = 19;
const WORST_OOM_SCORE = '1000';
/** What a node process needs to run; NODE_OPTIONS would bring the application's preloads in, ours among them. */
const ENVIRONMENT = [
  'PATH',
  'HOME',
  'TMPDIR',
  'TMP',
  'TEMP',
  'LANG',
  'LC_ALL',
  'LD_LIBRARY_PATH',
  'SystemRoot',
];

export function runChild(order: ChildOptions, clock: Clock): Promise<ChildOutcome> {
  return new Promise((resolve) => {
    let child: ChildProcess;
    try {
      child = start(order);
    } catch (error) {
      resolve(failureFrom(error, 'WSGUARD_ANALYSIS_FAILED'));
      return;
    }
    const output = collect(child, order.onProgress);
    const stops: Stop[] = [];
    let because: Refused | Failed | null = null;
    const end = (reason: Refused | Failed): void => {
      because ??= reason;
      child.kill('SIGKILL');
    };
    const finish = (outcome: ChildOutcome): void => {
      for (const stop of stops.splice(0)) stop();
      resolve(because ?? outcome);
    };
    child.on('error', (error) => finish(failureFrom(error, 'WSGUARD_ANALYSIS_FAILED')));
    child.on('close', (code, signal) => finish(outcomeOf(code, signal, output)));
    if (child.pid !== undefined) stops.push(...watch(child.pid, order, clock, end), dieWithUs(child));
    output.onOverflow = () => end(failed('WSGUARD_ANALYSIS_FAILED', 'the analysis process wrote too much'));
  });
}

function start({ entry, job, heapMib, keepAlive, onStart }: ChildOptions): ChildProcess {
  const env: NodeJS.ProcessEnv = { WSGUARD_ENABLED: 'false' };
  for (const name of ENVIRONMENT) if (process.env[name] !== undefined) env[name] = process.env[name];
  const flags = [`--max-old-space-size=${Math.ceil(heapMib)}`, '--v8-pool-size=1'];
  const child = spawn(process.execPath, [...flags, entry], {
    env,
    stdio: ['pipe', 'pipe', 'pipe'],
    windowsHide: true,
  });
  if (!keepAlive) child.unref();
  for (const stream of [child.stdin, child.stdout, child.stderr]) {
    if (!keepAlive) (stream as Socket | null)?.unref();
    stream?.on('error', () => undefined);
  }
  child.stdin?.end(JSON.stringify(job));
  if (child.pid !== undefined) {
    lower(child.pid);
    onStart?.(child.pid);
  }
  return child;
}

/** First to be killed when memory ends, last to get the processor. Both need no rights. */
function lower(pid: number): void {
  try {
    writeFileSync(`/proc/${pid}/oom_score_adj`, WORST_OOM_SCORE);
  } catch {
    // No /proc, or it has ended.
  }
  try {
    setPriority(pid, NICENESS);
  } catch {
    // It has ended.
  }
}

interface Output {
  stdout: string;
  stderr: string;
  onOverflow: () => void;
}

function collect(child: ChildProcess, onProgress: ChildOptions['onProgress']): Output {
  const output: Output = { stdout: '', stderr: '', onOverflow: () => undefined };
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    if (output.stdout.length + text.length > MAX_STDOUT_BYTES) output.onOverflow();
    else output.stdout += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    output.stderr = (output.stderr + text).slice(-MAX_STDERR_BYTES);
    onProgress?.(text);
  });
  return output;
}

function watch(pid: number, order: ChildOptions, clock: Clock, end: (why: Refused | Failed) => void): Stop[] {
  const look = (): void => {
    const rssBytes = rssOf(pid);
    const leftBytes = order.headroom();
    if (rssBytes !== null && rssBytes > order.maxRssBytes) {
      end(refused('the analysis took more memory than predicted', rssBytes, order.maxRssBytes));
    } else if (leftBytes !== null && leftBytes < order.reserveBytes) {
      end(refused('memory ran short while the analysis was running', order.reserveBytes, leftBytes));
    }
  };
  const late = (): void =>
    end(failed('WSGUARD_ANALYSIS_DEADLINE', `not done after ${Math.round(order.deadlineMs / 1000)} s`));
  return [
    clock.every(WATCH_MS, look),
    clock.after(order.deadlineMs, late),
    throttle(pid, order.share, clock),
  ];
}

/** Where the process ends in an orderly way the child must not be left behind, least of all a halted one. */
function dieWithUs(child: ChildProcess): Stop {
  const kill = (): void => void child.kill('SIGKILL');
  process.once('exit', kill);
  return () => void process.off('exit', kill);
}

function rssOf(pid: number): number | null {
  try {
    const kib = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1];
    return kib === undefined ? null : Number(kib) * 1024;
  } catch {
    return null;
  }
}

function outcomeOf(code: number | null, signal: NodeJS.Signals | null, output: Output): ChildOutcome {
  // 1 is what node says of an uncaught error.
  if (code === 0) return { outcome: 'done', stdout: output.stdout };
  const told = toldFailure(output.stdout);
  if (told !== null) return told;
  const said = lastWords(output.stderr);
  return failed(
    /\bWSGUARD_[A-Z_]+/.exec(said)?.[0] ?? 'WSGUARD_ANALYSIS_FAILED',
    signal === null ? `exit code ${code}: ${said}` : `ended by ${signal}: ${said}`,
  );
}

/** A worker that could not says so in JSON: `{"error":{"code","message","hint"}}`. */
function toldFailure(stdout: string): Failed | null {
  try {
    const { error } = JSON.parse(stdout) as { error: { code: string; message: string; hint?: string } };
    return failed(error.code, [error.message, error.hint ?? ''].join(' ').trim());
  } catch {
    return null;
  }
}

/** Progress and stack traces surround the line that matters. */
function lastWords(stderr: string): string {
  const lines = stderr.trimEnd().split('\n');
  return lines.findLast((line) => /^\w*Error\b|\bWSGUARD_/.test(line)) ?? lines.at(-1) ?? '';
}

const failed = (code: string, reason: string): Failed => ({ outcome: 'failed', code, reason });

const refused = (reason: string, needBytes: number, haveBytes: number): Refused => ({
  outcome: 'refused',
  reason,
  needBytes: Math.round(needBytes),
  haveBytes: Math.round(haveBytes),
});
