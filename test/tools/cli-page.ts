/** The page docs/cli.md, generated from the help of the commands. A test compares the two. */
import { commandHelp, type Command } from '../../src/cli/command.ts';
import { loadCommands } from '../../src/cli/main.ts';

export function cliPage(): string {
  const commands = loadCommands();
  return `${PAGE_HEAD}
${overviewTable(commands)}
${EXIT_CODE_TABLE}
${commands.map(commandSection).join('\n')}`;
}

const overviewTable = (commands: readonly Command[]): string =>
  ['| command | what it does |', '|---|---|', ...commands.map(overviewRow)].join('\n');

const overviewRow = ({ name, summary }: Command): string =>
  `| [\`wsguard ${name}\`](#wsguard-${name}) | ${summary} |`;

const commandSection = (command: Command): string => `## wsguard ${command.name}

\`\`\`text
${commandHelp(command).trimEnd()}
\`\`\`
`;

const PAGE_HEAD = `<!-- Made by \`npm run docs\` from the help of the commands in src/cli. -->
# Commands

\`wsguard\` comes with the package: \`npx wsguard <command>\` in a project that has \`@wsguard/agent\` installed. Each command
prints its help with \`--help\` and JSON with \`--json\`. Work that takes longer than two seconds reports its progress on
stderr.
`;

const EXIT_CODE_TABLE = `
| exit code | meaning |
|---|---|
| 0 | Done. |
| 1 | Done, and a leak was found. Only \`replay\`, \`procedure\`, and \`analyse\` of two or three snapshots, return it. |
| 2 | Wrong use: unknown command, option or value. The usage is on stderr. |
| 3 | Failed. A \`WSGUARD_*\` code ([errors](errors.md)) and a hint are on stderr. |
`;
