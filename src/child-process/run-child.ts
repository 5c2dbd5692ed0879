/**
 * Runs a script in a child process that must not hurt its parent. The child has a low priority, is the first victim
 * of the OOM killer, and is ended when it or the machine runs short of memory, or at its deadline.
 */

import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { setPriority } from 'node:os';
import type { Socket } from 'node:net';
import { readSmallRegularFile } from '../core/files.ts';
import { formatBytes, formatDuration } from '../core/format.ts';
import { failed, failureFrom, refused } from '../core/outcome.ts';
import { atExit } from '../core/process-events.ts';
import { isPidTaken } from '../core/process.ts';
import { plugAndPlayFlags } from '../core/plug-and-play.ts';
import type { Clock, Failed, Refused, Stop } from '../types/index.ts';
import { throttle } from './cpu-share.ts';

export interface ChildOptions {
  /** Gets `job` as JSON on stdin, writes its result to stdout and errors to stderr. */
  readonly script: string;
  readonly nodeFlags?: readonly string[];
  readonly job: unknown;
  /** Limit of V8's heap. Typed arrays are outside it, so all private memory is watched too. */
  readonly heapMib: number;
  readonly maxPrivateBytes: number;
  /** The child is ended when less memory than this is left on the machine or in the container. */
  readonly reserveBytes: number;
  /** Memory that is left; null when unknown. */
  readonly headroom: () => number | null;
  readonly deadlineMs: number;
  /** The part of one CPU core that the child may use, 0 to 1. */
  readonly share: number;
  /** False: the parent may exit before the child does, and ends it then. */
  readonly keepAlive: boolean;
  /** A descriptor of this process that the child gets as descriptor 3. */
  readonly input?: number;
  readonly onStart?: (pid: number) => void;
  /** Called with the first output: the script is ready for its input. */
  readonly onReady?: () => void;
  /** Gets a function that ends the child for this reason. */
  readonly onEnder?: (end: (reason: Refused | Failed) => void) => void;
}
export type ChildOutcome = { readonly outcome: 'done'; readonly stdout: string } | Refused | Failed;

const WATCH_MS = 100;
/** An analysis is below 0.5 MB. The watcher parses it within its heap limit (docs/architecture.md). */
const MAX_STDOUT_BYTES = 8 << 20;
const MAX_STDERR_BYTES = 64 << 10;
const MAX_PROC_STATUS_BYTES = 64 << 10;
const LOWEST_PRIORITY = 19;
/**
 * The priority of the forked child that writes into `input` (`native/src/child.c`). It keeps copied pages of the server in
 * memory until its reader has everything. On a busy core a process of this priority gets a tenth of it, one of the lowest
 * a hundredth: a census of 80 MB then took 100 s (measured).
 */
const READER_PRIORITY = 10;
const WORST_OOM_SCORE = '1000';
/**
 * Without background compilation: at its end Node waits for a compilation, and that one for a GC that only the waiting thread
 * could do (Node 26, two redaction processes that hung: one below Maglev, one below Sparkplug).
 */
const CHILD_FLAGS = ['--v8-pool-size=1', '--no-concurrent-recompilation', '--no-concurrent-sparkplug'];
/** Chosen: a process that has written its result ends within milliseconds. */
const MAX_LINGER_MS = 5_000;
const LINGER_CHECK_MS = 1_000;
/** Variables that a Node process needs. NODE_OPTIONS is not among them: it would load the application's preloads. */
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

/** Resolves when the child has ended. Never rejects. */
export function runChild(options: ChildOptions, clock: Clock): Promise<ChildOutcome> {
  return new Promise((resolve) => {
    let child: ChildProcess;
    try {
      child = start(options);
    } catch (error) {
      resolve(failureFrom(error, 'WSGUARD_ANALYSIS_FAILED'));
      return;
    }
    const stops: Stop[] = [];
    let endedBecause: Refused | Failed | null = null;
    const end = (reason: Refused | Failed): void => {
      endedBecause ??= reason;
      child.kill('SIGKILL');
    };
    const finish = (outcome: ChildOutcome): void => {
      for (const stop of stops.splice(0)) stop();
      resolve(endedBecause ?? outcome);
    };
    options.onEnder?.(end);
    if (options.onReady !== undefined) child.stdout?.once('data', options.onReady);
    const output = collectOutput(child, () =>
      end(failed('WSGUARD_ANALYSIS_FAILED', `wrote more than ${formatBytes(MAX_STDOUT_BYTES)}`)),
    );
    child.on('error', (error) => finish(failureFrom(error, 'WSGUARD_ANALYSIS_FAILED')));
    child.on('close', (code, signal) => finish(outcomeOf(code, signal, output)));
    if (child.pid === undefined) return;
    const checkExit = (): void => void (isExitLost(child) && finish(outcomeWithoutCode(output)));
    stops.push(...watch(child.pid, options, clock, end), endWithParent(child));
    stops.push(clock.every(WATCH_MS, checkExit), endLingering(child, output, clock, finish));
  });
}

function start({
  script,
  nodeFlags = [],
  job,
  heapMib,
  keepAlive,
  input,
  onStart,
}: ChildOptions): ChildProcess {
  const env: NodeJS.ProcessEnv = { WSGUARD_ENABLED: 'false' };
  for (const name of ENVIRONMENT) if (process.env[name] !== undefined) env[name] = process.env[name];
  const flags = [`--max-old-space-size=${Math.ceil(heapMib)}`, ...CHILD_FLAGS, ...nodeFlags];
  const child = spawn(process.execPath, [...plugAndPlayFlags(), ...flags, script], {
    env,
    stdio: ['pipe', 'pipe', 'pipe', ...(input === undefined ? [] : [input])],
    windowsHide: true,
  });
  if (!keepAlive) child.unref();
  for (const stream of [child.stdin, child.stdout, child.stderr]) {
    if (!keepAlive) (stream as Socket | null)?.unref();
    stream?.on('error', () => undefined);
  }
  child.stdin?.end(JSON.stringify(job));
  if (child.pid !== undefined) {
    lowerPriority(child.pid, input === undefined ? LOWEST_PRIORITY : READER_PRIORITY);
    onStart?.(child.pid);
  }
  return child;
}

function lowerPriority(pid: number, priority: number): void {
  const tasks = [
    () => writeFileSync(`/proc/${pid}/oom_score_adj`, WORST_OOM_SCORE),
    () => setPriority(pid, priority),
  ];
  for (const task of tasks) {
    try {
      task();
    } catch {
      // There is no /proc, or the child has ended already. Neither task needs special rights.
    }
  }
}

interface Output {
  stdout: string;
  /** The last characters that the child wrote there. */
  stderr: string;
}

function collectOutput(child: ChildProcess, onOverflow: () => void): Output {
  const output: Output = { stdout: '', stderr: '' };
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    if (output.stdout.length + text.length > MAX_STDOUT_BYTES) onOverflow();
    else output.stdout += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    output.stderr = (output.stderr + text).slice(-MAX_STDERR_BYTES);
  });
  return output;
}

function watch(
  pid: number,
  options: ChildOptions,
  clock: Clock,
  end: (because: Refused | Failed) => void,
): Stop[] {
  const { maxPrivateBytes, reserveBytes, headroom, deadlineMs, share } = options;
  const checkMemory = (): void => {
    const usedBytes = readPrivateBytes(pid);
    const leftBytes = headroom();
    if (usedBytes !== null && usedBytes > maxPrivateBytes) {
      const reason = `ended because it took ${formatBytes(usedBytes)} of memory, the limit was ${formatBytes(maxPrivateBytes)}`;
      end(refused(reason, { needBytes: usedBytes, haveBytes: maxPrivateBytes }));
    } else if (leftBytes !== null && leftBytes < reserveBytes) {
      const reason = `ended because memory ran short: needs ${formatBytes(reserveBytes)} in reserve, ${formatBytes(leftBytes)} available`;
      end(refused(reason, { needBytes: reserveBytes, haveBytes: leftBytes }));
    }
  };
  const endLate = (): void =>
    end(failed('WSGUARD_ANALYSIS_DEADLINE', `ended after ${formatDuration(deadlineMs)} without a result`));
  return [clock.every(WATCH_MS, checkMemory), clock.after(deadlineMs, endLate), throttle(pid, share, clock)];
}

/** A process can hang at its end, when V8 waits for its threads. Its result is complete then. */
function endLingering(
  child: ChildProcess,
  output: Output,
  clock: Clock,
  finish: (outcome: ChildOutcome) => void,
): Stop {
  let length = 0;
  let writtenAtMs = clock.nowMs();
  return clock.every(LINGER_CHECK_MS, () => {
    if (output.stdout.length !== length) {
      length = output.stdout.length;
      writtenAtMs = clock.nowMs();
    } else if (clock.nowMs() - writtenAtMs >= MAX_LINGER_MS && isJson(output.stdout)) {
      child.kill('SIGKILL');
      finish(outcomeWithoutCode(output));
    }
  });
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/**
 * An addon of the application that waits for all children takes the exit code from Node, and then no event comes. The child
 * is gone without an event when its pid is free and its output has ended.
 */
const isExitLost = (child: ChildProcess): boolean =>
  child.exitCode === null &&
  child.signalCode === null &&
  child.stdout?.readableEnded === true &&
  child.pid !== undefined &&
  !isPidTaken(child.pid);

/** An orderly exit of the parent ends the child, which may be halted at that moment. */
function endWithParent(child: ChildProcess): Stop {
  return atExit(() => void child.kill('SIGKILL'));
}

/**
 * Memory that only this process has. The pages of the Node executable are those of the parent. Null without /proc, and when
 * the process has ended.
 */
function readPrivateBytes(pid: number): number | null {
  try {
    const status = readSmallRegularFile(`/proc/${pid}/status`, MAX_PROC_STATUS_BYTES);
    const kib = /^RssAnon:\s+(\d+)/m.exec(status)?.[1];
    return kib === undefined ? null : Number(kib) * 1024;
  } catch {
    return null;
  }
}

function outcomeOf(code: number | null, signal: NodeJS.Signals | null, output: Output): ChildOutcome {
  if (code === 0) return { outcome: 'done', stdout: output.stdout };
  const reported = reportedFailure(output.stdout);
  if (reported !== null) return reported;
  const line = errorLine(output.stderr);
  return failed(
    /\bWSGUARD_[A-Z_]+/.exec(line)?.[0] ?? 'WSGUARD_ANALYSIS_FAILED',
    [signal === null ? `exit code ${code}` : `ended by ${signal}`, line].filter(Boolean).join(': '),
  );
}

/** The scripts write their whole result at once, so a result that is there is complete. */
const outcomeWithoutCode = (output: Output): ChildOutcome =>
  output.stdout.trim() === ''
    ? failed('WSGUARD_ANALYSIS_FAILED', `ended without a result: ${errorLine(output.stderr)}`)
    : outcomeOf(reportedFailure(output.stdout) === null ? 0 : 1, null, output);

/** The scripts report an expected failure as JSON: `{"error":{"code","message","hint"}}`. */
function reportedFailure(stdout: string): Failed | null {
  try {
    const { error } = JSON.parse(stdout) as { error: { code: string; message: string; hint?: string } };
    return failed(error.code, [error.message, error.hint].filter(Boolean).join('. '));
  } catch {
    return null;
  }
}

/** The last line that names an error. Progress comes before it and a stack trace after it. */
function errorLine(stderr: string): string {
  const lines = stderr.trimEnd().split('\n');
  return lines.findLast((line) => /^\w*Error\b|\bWSGUARD_/.test(line)) ?? lines.at(-1) ?? '';
}
