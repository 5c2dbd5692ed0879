/** Starts an application under test in a child process, and reads its stdout and the agent's log lines on stderr. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const ROOT = join(__dirname, '..', '..');
export const AGENT = join(ROOT, 'dist', 'index.js');
export const REGISTER = join(ROOT, 'dist', 'register.js');
/** Only a test that fails waits this long. It is long because machines can be slow. */
const DEADLINE_MS = 120_000;

export interface Line {
  readonly level: number;
  readonly msg: string;
  readonly pid: number;
  readonly code?: string;
  readonly [field: string]: unknown;
}

export interface Child {
  readonly process: ChildProcess;
  /** A temporary directory with the files of the test, unless the options name another one. */
  readonly cwd: string;
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  stdout(): string;
  stderr(): string;
  /** Runs the code of `onTrigger(word, code)` in the child. */
  trigger(word: string): void;
  /** Log lines of the agent so far. */
  logLines(): Line[];
  /** Waits for a log line whose message matches. */
  logLine(pattern: RegExp): Promise<Line>;
  /** Waits until the complete lines of stdout match: a long line arrives in parts. */
  stdoutMatch(pattern: RegExp): Promise<RegExpMatchArray>;
}

export interface ChildOptions {
  /** Files to write into the directory: name to text. Node runs the first one unless `args` is given. */
  readonly files: Readonly<Record<string, string>>;
  readonly nodeArgs?: readonly string[];
  readonly args?: readonly string[];
  readonly command?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** The child inherits no environment variable, as under `env -i`. */
  readonly bare?: boolean;
  readonly cwd?: string;
}

const started = new Set<Child>();

/** For `afterEach`: kills all children of a test and deletes their files. */
export async function endChildren(): Promise<void> {
  for (const child of started) {
    killGroup(child.process.pid);
    await child.exited;
    removeFolder(child.cwd);
  }
  started.clear();
}

/** A process of the group that was just killed may still end a write in the folder: then the removal is repeated. */
export const removeFolder = (folder: string): void =>
  rmSync(folder, { recursive: true, force: true, maxRetries: 20 });

/** Kills the process group, because the child of a wrapper such as npm would survive and keep the pipes open. */
function killGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch {
    // It has already ended.
  }
}

export function startChild(options: ChildOptions): Child {
  const folder = mkdtempSync(join(tmpdir(), 'wsguard-child-'));
  for (const [name, text] of Object.entries(options.files)) writeFileSync(join(folder, name), text);
  const main = join(folder, Object.keys(options.files)[0] ?? '');
  const inherited = options.bare === true ? {} : { ...process.env, NODE_OPTIONS: '' };
  const env = { ...inherited, ...(options.bare === true ? {} : { WSGUARD_SERVICE: 'test' }), ...options.env };
  const args = options.args ?? [...(options.nodeArgs ?? []), main];
  const child = spawn(options.command ?? process.execPath, args, {
    cwd: options.cwd ?? folder,
    env,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk));
  const exited = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) =>
    child.on('close', (code, signal) => resolve({ code, signal })),
  );
  const logLines = (): Line[] => stderr.split('\n').flatMap(parseLine);
  const both = (): string => `stdout:\n${stdout}\nstderr:\n${stderr}`;
  const running: Child = {
    process: child,
    cwd: folder,
    exited,
    stdout: () => stdout,
    stderr: () => stderr,
    trigger: (word) => writeFileSync(join(folder, word), ''),
    logLines,
    logLine: (pattern) =>
      until(
        () => logLines().find(({ msg }) => pattern.test(msg)),
        () => `a log line ${pattern}\n${both()}`,
      ),
    stdoutMatch: (pattern) =>
      until(
        () => pattern.exec(stdout.slice(0, stdout.lastIndexOf('\n') + 1)) ?? undefined,
        () => `${pattern} in stdout\n${both()}`,
      ),
  };
  started.add(running);
  return running;
}

/** Source text that runs `code` when the test calls `child.trigger(word)`. */
export const onTrigger = (word: string, code: string): string => `
const poll_${word} = setInterval(() => {
  if (!require('node:fs').existsSync(require('node:path').join(__dirname, '${word}'))) return;
  clearInterval(poll_${word});
  ${code}
}, 20);`;

/** Source text that blocks the event loop from `trigger('block')` to `trigger('free')`. */
export const blockOnTrigger = (then = ''): string =>
  onTrigger(
    'block',
    `console.log('blocking');
    while (!require('node:fs').existsSync(require('node:path').join(__dirname, 'free')));
    console.log('free');
    ${then}`,
  );

function parseLine(text: string): Line[] {
  try {
    const line = JSON.parse(text) as Line & { name?: string };
    return line.name === 'wsguard' ? [line] : [];
  } catch {
    return [];
  }
}

/** Polls until `probe` returns a value. `what` describes the expectation in the error message. */
export async function until<T>(
  probe: () => T | undefined | Promise<T | undefined>,
  what: () => string,
): Promise<T> {
  const startedMs = Date.now();
  for (;;) {
    const found = await probe();
    if (found !== undefined) return found;
    if (Date.now() - startedMs > DEADLINE_MS) throw new Error(`not within ${DEADLINE_MS} ms: ${what()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
