/** Defines a command: its arguments, its help, its errors and what it may touch. */
import { parseArgs } from 'node:util';
import { nearestName } from '../config/nearest-name.ts';

/** The surroundings of a command. They are passed in, so that a test needs no process. */
export interface CliIo {
  /** Writes to standard output. */
  out(text: string): void;
  /** Writes to standard error. */
  err(text: string): void;
  readonly stdin: NodeJS.ReadableStream;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
}

/** Exit codes are a promise of docs/cli.md. Only `replay`, `analyse` and `procedure` return `leakFound`. */
export const EXIT_CODES = { done: 0, leakFound: 1, wrongUse: 2, failed: 3 } as const;
export type ExitCode = (typeof EXIT_CODES)[keyof typeof EXIT_CODES];

export const WRONG_USE_MEANING = [EXIT_CODES.wrongUse, 'wrong use; the usage is on stderr'] as const;
export const FAILED_MEANING = [
  EXIT_CODES.failed,
  'failed; a WSGUARD_* code and a hint are on stderr',
] as const;

/** Wrong use of a command: exit code 2, and the usage on standard error. */
export class UsageError extends Error {}

/** The command could not do its work: exit code 3, with a `WSGUARD_*` code and a hint on standard error. */
export class CliError extends Error {
  readonly code: string;
  readonly hint: string;

  constructor(code: string, message: string, hint: string) {
    super(message);
    this.code = code;
    this.hint = hint;
  }
}

interface OptionSpec {
  readonly type: 'boolean' | 'string';
  readonly short?: string;
  /** The placeholder of the value in the help: `<file>`. */
  readonly value?: string;
  readonly help: string;
}
type OptionSpecs = Readonly<Record<string, OptionSpec>>;

export interface ParsedArguments<O extends OptionSpecs> {
  readonly values: { readonly [K in keyof O]?: O[K]['type'] extends 'boolean' ? boolean : string };
  readonly positionals: readonly string[];
}

interface CommandSpec<O extends OptionSpecs> {
  readonly name: string;
  /** One sentence for the overview. */
  readonly summary: string;
  /** The forms of the command, without `wsguard`. */
  readonly usage: readonly string[];
  /** Paragraphs between usage and options. */
  readonly details: readonly string[];
  readonly maxPositionals: number;
  readonly options: O;
  /** The first one is shown in the overview and after a usage error. */
  readonly examples: readonly (readonly [command: string, meaning: string])[];
  readonly exitCodes: readonly (readonly [ExitCode, string])[];
}

export interface Command extends CommandSpec<OptionSpecs> {
  /** Throws `UsageError` and `CliError`. */
  run(argv: readonly string[], io: CliIo): Promise<ExitCode>;
}

const HELP_OPTION = { type: 'boolean', short: 'h', help: 'Print this help.' } as const;

export function defineCommand<const O extends OptionSpecs>(
  spec: CommandSpec<O>,
  run: (parsed: ParsedArguments<O>, io: CliIo) => Promise<ExitCode>,
): Command {
  const options = { ...spec.options, help: HELP_OPTION };
  const command = { ...spec, options };
  return {
    ...command,
    async run(argv, io) {
      const { values, positionals } = parseArguments(command, argv);
      if (values['help'] === true) {
        io.out(commandHelp(command));
        return EXIT_CODES.done;
      }
      return run({ values, positionals } as ParsedArguments<O>, io);
    },
  };
}

function parseArguments(spec: CommandSpec<OptionSpecs>, argv: readonly string[]) {
  const { options, maxPositionals } = spec;
  try {
    const parsed = parseArgs({ args: [...argv], options, allowPositionals: true, strict: true });
    const surplus = parsed.positionals[maxPositionals];
    if (surplus !== undefined && parsed.values['help'] !== true)
      throw new UsageError(`unexpected argument ${surplus}`);
    return parsed;
  } catch (error) {
    throw error instanceof UsageError ? error : new UsageError(parseErrorText(error as Error, options));
  }
}

/** Shortens the messages of parseArgs, which explain how to pass a positional argument that starts with a dash. */
function parseErrorText(error: Error & { code?: string }, options: OptionSpecs): string {
  const quoted = /'(-{1,2}[^\s']*)/.exec(error.message)?.[1] ?? '';
  if (error.code === 'ERR_PARSE_ARGS_UNKNOWN_OPTION') {
    const nearest = nearestName(quoted.replace(/^-+/, ''), Object.keys(options));
    return `unknown option ${quoted}${nearest === null ? '' : `; did you mean --${nearest}?`}`;
  }
  const name = /--([\w-]+)/.exec(error.message)?.[1] ?? '';
  const option = options[name];
  if (error.code === 'ERR_PARSE_ARGS_INVALID_OPTION_VALUE' && option !== undefined) {
    return option.type === 'string'
      ? `--${name} needs a value: --${name} ${option.value ?? '<value>'}`
      : `--${name} takes no value`;
  }
  return error.message;
}

/** The help of a command: summary, usage, details, options, examples and exit codes. */
export function commandHelp(spec: CommandSpec<OptionSpecs>): string {
  const sections = [
    `wsguard ${spec.name}: ${spec.summary}`,
    usageText(spec),
    ...spec.details,
    `Options:\n${optionLines(spec.options).join('\n')}`,
    `Examples:\n${spec.examples.map(([command, meaning]) => `  ${command}\n      ${meaning}`).join('\n')}`,
    `Exit codes:\n${spec.exitCodes.map(([code, meaning]) => `  ${code}  ${meaning}`).join('\n')}`,
  ];
  return `${sections.join('\n\n')}\n`;
}

export const usageText = ({ usage }: Pick<Command, 'usage'>): string =>
  `Usage:\n${usage.map((form) => `  wsguard ${form}`).join('\n')}`;

function optionLines(options: OptionSpecs): string[] {
  const rows = Object.entries(options).map(([name, { short, value, help }]) => {
    const left = `${short === undefined ? '' : `-${short}, `}--${name}${value === undefined ? '' : ` ${value}`}`;
    return [left, help] as const;
  });
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, help]) => `  ${left.padEnd(width)}  ${help}`);
}
