import { PassThrough } from 'node:stream';
import { fileErrorText } from '../../../src/core/files.ts';
import { commandHelp, defineCommand, EXIT_CODES, UsageError, type CliIo } from '../../../src/cli/command.ts';

interface Call {
  readonly values: Readonly<Record<string, unknown>>;
  readonly positionals: readonly string[];
}

function defineTestCommand() {
  const calls: Call[] = [];
  const command = defineCommand(
    {
      name: 'copy',
      summary: 'Copies a file.',
      usage: ['copy <from> <to> [--mode <octal>]'],
      details: ['Files stay as they are.'],
      maxPositionals: 2,
      options: {
        mode: { type: 'string', value: '<octal>', help: 'Mode of the copy.' },
        json: { type: 'boolean', help: 'Print JSON.' },
      },
      examples: [['copy a b', 'Copies a to b.']],
      exitCodes: [[EXIT_CODES.done, 'done']],
    },
    async (parsed) => {
      calls.push(parsed);
      return EXIT_CODES.done;
    },
  );
  let out = '';
  const io: CliIo = {
    out: (text) => void (out += text),
    err: () => undefined,
    stdin: new PassThrough(),
    env: {},
    cwd: '/',
  };
  return { run: (...argv: string[]) => command.run(argv, io), calls, command, output: () => out };
}

test.each<[string[], Call]>([
  [[], { values: {}, positionals: [] }],
  [['a', '-'], { values: {}, positionals: ['a', '-'] }],
  [['a', 'b', '--json', '--mode', '600'], { values: { json: true, mode: '600' }, positionals: ['a', 'b'] }],
  [['--mode=600', 'a'], { values: { mode: '600' }, positionals: ['a'] }],
  [['--mode=--json'], { values: { mode: '--json' }, positionals: [] }],
  [['--', '--json'], { values: {}, positionals: ['--json'] }],
  [['--mode', '1', '--mode', '2'], { values: { mode: '2' }, positionals: [] }],
])('parses %p', async (argv, expected) => {
  const { run, calls } = defineTestCommand();
  expect(await run(...argv)).toBe(0);
  expect(calls.map(({ values, positionals }) => ({ values: { ...values }, positionals }))).toEqual([
    expected,
  ]);
});

test.each([
  [['--jsn'], 'unknown option --jsn; did you mean --json?'],
  [['--colour'], 'unknown option --colour'],
  [['-x'], 'unknown option -x'],
  [['--mode'], '--mode needs a value: --mode <octal>'],
  [['--mode', '--json'], '--mode needs a value: --mode <octal>'],
  [['--json=1'], '--json takes no value'],
  [['a', 'b', 'c'], 'unexpected argument c'],
])('refuses %p: %s', async (argv, message) => {
  const { run, calls } = defineTestCommand();
  const failed = run(...argv);
  await expect(failed).rejects.toBeInstanceOf(UsageError);
  await expect(failed).rejects.toThrow(message);
  expect(calls).toEqual([]);
});

test.each([[['--help']], [['-h']], [['a', 'b', 'c', '--help']]])('%p prints the help', async (argv) => {
  const { run, calls, command, output } = defineTestCommand();
  expect(await run(...argv)).toBe(0);
  expect(calls).toEqual([]);
  expect(output()).toBe(commandHelp(command));
  expect(output()).toBe(`wsguard copy: Copies a file.

Usage:
  wsguard copy <from> <to> [--mode <octal>]

Files stay as they are.

Options:
  --mode <octal>  Mode of the copy.
  --json          Print JSON.
  -h, --help      Print this help.

Examples:
  copy a b
      Copies a to b.

Exit codes:
  0  done
`);
});

test.each([
  ['ENOENT', 'read', 'no such file'],
  ['ENOENT', 'write', 'the directory does not exist'],
  ['EISDIR', 'read', 'is a directory, not a file'],
  ['EMFILE', 'read', 'EMFILE: too many open files'],
] as const)('the text of %s during %s is: %s', (code, operation, text) => {
  const error = Object.assign(new Error(`${code}: too many open files`), { code });
  expect(fileErrorText(error, operation)).toBe(text);
});
