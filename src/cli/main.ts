#!/usr/bin/env node
/** `wsguard`: finds the command and turns what becomes of it into an exit code. Each command is loaded alone. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { nearestName } from '../config/nearest-name.ts';
import { CliError, UsageError, type CliIo, type Run } from './io.ts';

interface Command {
  readonly summary: string;
  readonly usage: string;
  readonly example: string;
  readonly load: () => Promise<Run>;
}

const COMMANDS: Readonly<Record<string, Command>> = {
  analyse: {
    summary: 'Says what holds the memory in a heap snapshot; of two or three, what grows.',
    usage: 'wsguard analyse <a> [b] [c] [--html <out>] [--json]',
    example: 'wsguard analyse first.heapsnapshot second.heapsnapshot',
    load: async () => (await import('./analyse.ts')).analyse,
  },
  replay: {
    summary: 'Runs the detectors over recorded samples, or over what Prometheus has kept.',
    usage:
      'wsguard replay <trace.csv> [--time-scale 60] [--signals all|preload] [--memory-limit <bytes>] [--json]\n' +
      '  wsguard replay --prometheus <url> [--from <time>] [--to <time>] [--selector <labels>] [--json]',
    example: 'wsguard replay --prometheus http://127.0.0.1:9090 --from 2026-11-22T00:00:00Z --json',
    load: async () => (await import('./replay.ts')).replay,
  },
  redact: {
    summary: 'Copies a snapshot without its secrets.',
    usage: 'wsguard redact <in> <out> [--force] [--json]',
    example: 'wsguard redact heap.heapsnapshot safe.heapsnapshot.gz',
    load: async () => (await import('./redact.ts')).redact,
  },
  config: {
    summary: 'Prints each setting with its value and where it comes from.',
    usage: 'wsguard config [--json]',
    example: 'WSGUARD_INTERVAL_MS=5000 wsguard config',
    load: async () => (await import('./config.ts')).run,
  },
  doctor: {
    summary: 'Says what works here, or in a running process, and why not.',
    usage: 'wsguard doctor [--pid N] [--json]',
    example: 'wsguard doctor --pid 4711',
    load: async () => (await import('./doctor.ts')).run,
  },
};
/** The American spelling is the same command. */
const ALIASES: Readonly<Record<string, string>> = { analyze: 'analyse' };

const EXIT = { done: 0, usage: 2, couldNot: 3 } as const;

export async function main(argv: readonly string[], io: CliIo): Promise<number> {
  const [given, ...rest] = argv;
  if (given === '--version' || given === '-v') return say(io, `${version()}\n`);
  if (given === undefined) {
    io.err(overview());
    return EXIT.usage;
  }
  if (given === 'help' || given === '--help' || given === '-h') return help(rest[0], io);
  const command = commandOf(given);
  if (command === undefined) return unknown(given, io);
  if (rest.includes('--help') || rest.includes('-h')) return help(given, io);
  try {
    const run = await command.load();
    return await run(rest, io);
  } catch (error) {
    return failure(error, command, io);
  }
}

const commandOf = (name: string): Command | undefined => {
  const known = ALIASES[name] ?? name;
  return Object.hasOwn(COMMANDS, known) ? COMMANDS[known] : undefined;
};

function say(io: CliIo, text: string): number {
  io.out(text);
  return EXIT.done;
}

function help(name: string | undefined, io: CliIo): number {
  if (name === undefined) return say(io, overview());
  const command = commandOf(name);
  if (command === undefined) return unknown(name, io);
  return say(io, `${command.summary}\n\n  ${command.usage}\n\nExample: ${command.example}\n`);
}

function unknown(name: string, io: CliIo): number {
  const near = nearestName(name, [...Object.keys(COMMANDS), ...Object.keys(ALIASES)]);
  io.err(`wsguard: no command ${name}${near === null ? '' : `; did you mean ${near}?`}\n\n${overview()}`);
  return EXIT.usage;
}

/** Never 1: that is a leak found, and Node's own code for an uncaught exception. */
function failure(error: unknown, command: Command, io: CliIo): number {
  if (error instanceof UsageError) {
    // Some commands say their usage themselves.
    const usage = error.message.includes('wsguard ') ? '' : `  ${command.usage}\n`;
    io.err(`wsguard: ${error.message}\n${usage}  for example: ${command.example}\n`);
    return EXIT.usage;
  }
  if (error instanceof CliError) io.err(`${error.code}: ${error.message}\n  ${error.hint}\n`);
  else io.err(unexpected(error));
  return EXIT.couldNot;
}

function unexpected(error: unknown): string {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return `WSGUARD_UNEXPECTED: ${text}\n  This is a fault of wsguard; please report it with the command.\n`;
}

function overview(): string {
  const lines = Object.entries(COMMANDS).map(
    ([name, { summary, example }]) => `  ${name.padEnd(9)}${summary}\n           ${example}\n`,
  );
  return `wsguard ${version()}: finds what a WebSocket, Socket.IO or SSE server forgot to let go of

${lines.join('')}
  wsguard help <command>, wsguard <command> --help, wsguard --version

Exit codes: 0 done, nothing found; 1 a leak found; 2 wrong use; 3 could not (a WSGUARD_* code says why).
`;
}

function version(): string {
  const file = readFileSync(join(__dirname, '..', '..', 'package.json'), 'utf8');
  return (JSON.parse(file) as { version: string }).version;
}

function processIo(): CliIo {
  // A reader that has seen enough (`| head`) closes the pipe; the answer and its exit code stay the same.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') return;
    process.stderr.write(`WSGUARD_OUTPUT: ${error.message}\n  The output could not be written.\n`);
    process.exit(EXIT.couldNot);
  });
  return {
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    stdin: process.stdin,
    env: process.env,
    cwd: process.cwd(),
  };
}

if (require.main === module) {
  process.on('uncaughtException', (error) => {
    process.stderr.write(unexpected(error));
    process.exit(EXIT.couldNot);
  });
  void main(process.argv.slice(2), processIo()).then((code) => {
    // Set, not exit(): what was printed into a pipe has to get out first.
    process.exitCode = code;
  });
}
