/** A node process under test, and the lines that the agent said on its stderr. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const ROOT = join(__dirname, '..', '..');
export const AGENT = join(ROOT, 'dist', 'index.js');
export const REGISTER = join(ROOT, 'dist', 'register.js');
/** Only met by what fails: a machine may be slow. */
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
  /** Where it runs; files of the test lie there too. */
  readonly cwd: string;
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  stdout(): string;
  stderr(): string;
  /** For programs with `whenTold`. */
  tell(word: string): void;
  /** What the agent said. */
  lines(): Line[];
  /** Until a line of the agent's matches. */
  said(pattern: RegExp): Promise<Line>;
  /** Until stdout matches. */
  printed(pattern: RegExp): Promise<RegExpMatchArray>;
}

export interface ChildOptions {
  /** Files to write beside it: name -> text. The first one is run unless `args` says otherwise. */
  readonly files: Readonly<Record<string, string>>;
  readonly nodeArgs?: readonly string[];
  readonly args?: readonly string[];
  readonly command?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Nothing is inherited, as under `env -i`. */
  readonly bare?: boolean;
  readonly cwd?: string;
}

const started = new Set<Child>();

/** For `afterEach`: ends what a test left behind, and takes its files away. */
export async function endAll(): Promise<void> {
  for (const child of started) {
    killGroup(child.process.pid);
    await child.exited;
    rmSync(child.cwd, { recursive: true, force: true });
  }
  started.clear();
}

/** Wrappers such as npm leave their child behind, which would hold the pipes. */
function killGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
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
  const lines = (): Line[] => stderr.split('\n').flatMap(parseLine);
  const both = (): string => `stdout:\n${stdout}\nstderr:\n${stderr}`;
  const running: Child = {
    process: child,
    cwd: folder,
    exited,
    stdout: () => stdout,
    stderr: () => stderr,
    tell: (word) => writeFileSync(join(folder, word), ''),
    lines,
    said: (pattern) =>
      until(
        () => lines().find(({ msg }) => pattern.test(msg)),
        () => `${pattern} said\n${both()}`,
      ),
    printed: (pattern) =>
      until(
        () => pattern.exec(stdout) ?? undefined,
        () => `${pattern} printed\n${both()}`,
      ),
  };
  started.add(running);
  return running;
}

/** Text for a program: it runs `code` when the test says `word`, never at a time that a slow start would miss. */
export const whenTold = (word: string, code: string): string => `
const waiting_${word} = setInterval(() => {
  if (!require('node:fs').existsSync(require('node:path').join(__dirname, '${word}'))) return;
  clearInterval(waiting_${word});
  ${code}
}, 20);`;

/** Text for a program: from one word to the other it does nothing else. */
export const blocksWhenTold = (then = ''): string =>
  whenTold(
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

/** Asks again and again; there is no fixed time to wait for. */
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
