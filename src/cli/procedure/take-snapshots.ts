/** Starts the server of `wsguard procedure` and requests its three snapshots, each when the user presses Enter. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import { createClock } from '../../core/clock.ts';
import { formatBytes } from '../../core/format.ts';
import type { ProcedureStep } from '../../heap-analyzer.ts';
import { CliError, UsageError, type CliIo } from '../command.ts';
import { PROCEDURE_VARIABLE, type ProcedureAnswer, type ProcedureRequest } from './procedure-messages.ts';

export type ProcedureFiles = Readonly<Record<ProcedureStep, string>>;

export interface ServerCommand {
  readonly command: readonly string[];
  /** Absolute. */
  readonly directory: string;
}

const PRELOAD = join(__dirname, 'procedure-preload');
const PROMPTS: Readonly<Record<ProcedureStep, string>> = {
  start: 'Press Enter when the server is ready and no client is connected.',
  loaded: 'Connect the clients. Press Enter when they are connected.',
  drained: 'Disconnect the clients. Press Enter when all of them have gone.',
};
/** These start the server in a further process. */
const PACKAGE_MANAGERS = ['npm', 'npx', 'yarn', 'pnpm', 'bun'];
/** A server that handles SIGTERM gets this long to end. */
const END_DEADLINE_MS = 5_000;

export async function takeSnapshots(server: ServerCommand, io: CliIo): Promise<ProcedureFiles> {
  const child = start(server, io);
  const input = createInterface({ input: io.stdin });
  const lines = input[Symbol.asyncIterator]();
  const ended = new Promise<never>((_resolve, reject) => {
    child.once('error', ({ message }) => reject(failure(`the server did not start: ${message}`)));
    child.once('exit', (code, signal) =>
      reject(failure(`the server ended (${code ?? signal}) before the three snapshots were taken`)),
    );
  });
  ended.catch(() => undefined);
  const take = async (step: ProcedureStep): Promise<string> => {
    io.err(`\n${PROMPTS[step]}\n`);
    const line = await Promise.race([lines.next(), ended]);
    if (line.done === true) throw failure(`standard input ended before the step ${step}`);
    return Promise.race([requestSnapshot(child, step, io), ended]);
  };
  try {
    return { start: await take('start'), loaded: await take('loaded'), drained: await take('drained') };
  } finally {
    // An open standard input keeps this process alive.
    input.close();
    await end(child);
  }
}

function start({ command, directory }: ServerCommand, io: CliIo): ChildProcess {
  const [program = '', ...args] = command;
  if (PACKAGE_MANAGERS.includes(basename(program)))
    throw new UsageError(
      `${program} starts another process; give the command that it runs, such as node server.js`,
    );
  const preload = `--require ${JSON.stringify(PRELOAD)}`;
  const child = spawn(program, args, {
    cwd: io.cwd,
    env: {
      ...io.env,
      NODE_OPTIONS: `${io.env['NODE_OPTIONS'] ?? ''} ${preload}`.trim(),
      [PROCEDURE_VARIABLE]: directory,
    },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  // Standard output is for the result.
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (text: Buffer) => io.err(String(text)));
  return child;
}

async function requestSnapshot(child: ChildProcess, step: ProcedureStep, io: CliIo): Promise<string> {
  const request: ProcedureRequest = { wsguardProcedure: step };
  child.send(request);
  for (;;) {
    const [message] = (await once(child, 'message')) as [Partial<ProcedureAnswer> | null];
    // The application can send messages of its own, such as `ready`.
    if (message?.wsguardProcedure !== step || message.snapshot === undefined) continue;
    const { snapshot } = message;
    if (snapshot.outcome !== 'written')
      throw failure(`the snapshot ${step} was ${snapshot.outcome}: ${snapshot.reason}`);
    io.err(`${step}: ${formatBytes(snapshot.bytes)} written to ${snapshot.file}\n`);
    return snapshot.file;
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const stopTimer = createClock().after(END_DEADLINE_MS, () => child.kill('SIGKILL'));
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  await exited;
  stopTimer();
}

const failure = (message: string): CliError =>
  new CliError(
    'WSGUARD_PROCEDURE_FAILED',
    message,
    'Run the server command by itself first. The snapshots can also be taken with HeapAnalyzer.procedure() (docs/api.md).',
  );
