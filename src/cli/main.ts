#!/usr/bin/env node
/** The `wsguard` command: finds the subcommand, runs it and turns its errors into exit codes. */
import { join } from 'node:path';
import type * as AnalyseModule from './analyse.ts';
import type * as ConfigModule from './config.ts';
import type * as DoctorModule from './doctor.ts';
import type * as ProcedureModule from './procedure/procedure.ts';
import type * as RedactModule from './redact.ts';
import type * as ReplayModule from './replay.ts';
import { readSmallRegularFile } from '../core/files.ts';
import { escapeControls } from '../core/safe-text.ts';
import { nearestName } from '../config/nearest-name.ts';
import {
  CliError,
  EXIT_CODES,
  usageText,
  UsageError,
  type CliIo,
  type Command,
  type ExitCode,
} from './command.ts';

/** Loaded one by one: `replay` and `analyse` take longer to load than `config` takes to run. */
const COMMANDS: Readonly<Record<string, () => Command>> = {
  analyse: () => (require('./analyse.ts') as typeof AnalyseModule).analyse,
  procedure: () => (require('./procedure/procedure.ts') as typeof ProcedureModule).procedure,
  replay: () => (require('./replay.ts') as typeof ReplayModule).replay,
  redact: () => (require('./redact.ts') as typeof RedactModule).redact,
  config: () => (require('./config.ts') as typeof ConfigModule).config,
  doctor: () => (require('./doctor.ts') as typeof DoctorModule).doctor,
};
const ALIASES: Readonly<Record<string, string>> = { analyze: 'analyse' };

export async function main(argv: readonly string[], io: CliIo): Promise<ExitCode> {
  const [name, ...rest] = argv;
  try {
    if (name === undefined) {
      io.err(overview());
      return EXIT_CODES.wrongUse;
    }
    if (name === '--version' || name === '-v') {
      io.out(`${version()}\n`);
      return EXIT_CODES.done;
    }
    if (name === 'help' || name === '--help' || name === '-h') return await printHelp(rest[0], io);
    const load = findCommand(name);
    if (load === undefined) return reportUnknownCommand(name, io);
    const command = load();
    try {
      return await command.run(rest, io);
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      io.err(
        `wsguard ${command.name}: ${error.message}\n\n${usageText(command)}\n\nwsguard ${command.name} --help explains the options.\n`,
      );
      return EXIT_CODES.wrongUse;
    }
  } catch (error) {
    io.err(failureText(error));
    return EXIT_CODES.failed;
  }
}

function findCommand(name: string): (() => Command) | undefined {
  const commandName = ALIASES[name] ?? name;
  return Object.hasOwn(COMMANDS, commandName) ? COMMANDS[commandName] : undefined;
}

async function printHelp(name: string | undefined, io: CliIo): Promise<ExitCode> {
  if (name === undefined) {
    io.out(overview());
    return EXIT_CODES.done;
  }
  const load = findCommand(name);
  if (load === undefined) return reportUnknownCommand(name, io);
  return load().run(['--help'], io);
}

function reportUnknownCommand(name: string, io: CliIo): ExitCode {
  const nearest = nearestName(name, [...Object.keys(COMMANDS), ...Object.keys(ALIASES)]);
  const hint = nearest === null ? '' : `; did you mean ${nearest}?`;
  io.err(`wsguard: unknown command ${name}${hint}\n\n${overview()}`);
  return EXIT_CODES.wrongUse;
}

/** Never exit code 1, which means that a leak was found and is Node's code for an uncaught exception. */
const failureText = (error: unknown): string =>
  error instanceof CliError ? `${error.code}: ${error.message}\n  ${error.hint}\n` : unexpectedText(error);

function unexpectedText(error: unknown): string {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return `WSGUARD_UNEXPECTED: ${text}\n  This is a bug in wsguard. Please report it together with the command.\n`;
}

export const loadCommands = (): Command[] => Object.values(COMMANDS).map((load) => load());

function overview(): string {
  const commands = loadCommands();
  const lines = commands.map(
    ({ name, summary, examples: [first] }) => `  ${name.padEnd(9)}  ${summary}\n             ${first?.[0]}\n`,
  );
  return `wsguard ${version()}: finds memory leaks in WebSocket, Socket.IO and SSE servers

Commands:
${lines.join('')}
  wsguard <command> --help   prints the options and examples of a command
  wsguard --version          prints the version

Exit codes: 0 done; 1 a leak was found; 2 wrong use; 3 failed, with a WSGUARD_* code and a hint on stderr.
`;
}

const MAX_MANIFEST_BYTES = 1024 * 1024;

function version(): string {
  const file = readSmallRegularFile(join(__dirname, '..', '..', 'package.json'), MAX_MANIFEST_BYTES);
  return (JSON.parse(file) as { version: string }).version;
}

function processIo(): CliIo {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    // The reader of a pipe may stop early, as `head` does. The exit code stays the same.
    if (error.code === 'EPIPE') return;
    process.stderr.write(
      `WSGUARD_OUTPUT: cannot write to standard output: ${error.message}\n  Check the disk or the pipe it goes to.\n`,
    );
    process.exit(EXIT_CODES.failed);
  });
  // There is nowhere left to report that stderr is closed.
  process.stderr.on('error', () => undefined);
  return {
    out: (text) => void process.stdout.write(escapeControls(text)),
    err: (text) => void process.stderr.write(escapeControls(text)),
    stdin: process.stdin,
    env: process.env,
    cwd: process.cwd(),
  };
}

if (require.main === module) {
  process.on('uncaughtException', (error) => {
    process.stderr.write(escapeControls(unexpectedText(error)));
    process.exit(EXIT_CODES.failed);
  });
  void main(process.argv.slice(2), processIo()).then((code) => {
    // process.exit() would cut off output that is still being written to a pipe.
    process.exitCode = code;
  });
}
