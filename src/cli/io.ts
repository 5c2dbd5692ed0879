/** What a command may touch: handed in, so that tests need no process. */
export interface CliIo {
  /** Standard output; one call is one piece of text, line breaks included. */
  out(text: string): void;
  err(text: string): void;
  readonly stdin: NodeJS.ReadableStream;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
}

/** Exit codes: 0 done, nothing found; 1 a leak found, never anything else; 2 wrong use; 3 could not. */
export type Run = (argv: readonly string[], io: CliIo) => Promise<number>;

/** Wrong use: the hint goes to stderr, the exit code is 2. */
export class UsageError extends Error {}

/** Could not: the exit code is 3, with a `WSGUARD_*` code and a hint. */
export class CliError extends Error {
  readonly code: string;
  readonly hint: string;

  constructor(code: string, message: string, hint: string) {
    super(message);
    this.code = code;
    this.hint = hint;
  }
}
