/** `wsguard config`: each setting with its value and its source. */
import { loadConfig } from '../config/load-config.ts';
import type { ResolvedConfig } from '../config/schema.ts';
import { configText, otelSettings, shownSettings } from '../config/settings-text.ts';
import { defineCommand, EXIT_CODES, FAILED_MEANING, WRONG_USE_MEANING, type CliIo } from './command.ts';

export const config = defineCommand(
  {
    name: 'config',
    summary: 'Prints each setting with its value and its source.',
    usage: ['config [--json]'],
    details: [
      'Shows the settings that an agent would have if it started in this directory with this environment, and the OTEL_*\nvariables that are set. Secrets are hidden. A line that starts with ! names a value that is ignored, and what is\nexpected instead.',
    ],
    maxPositionals: 0,
    options: { json: { type: 'boolean', help: 'Print JSON.' } },
    examples: [
      ['WSGUARD_INTERVAL_MS=5000 wsguard config', 'Shows the interval with the source `env`.'],
      ['wsguard config --json', 'Prints the same for a script.'],
    ],
    exitCodes: [[EXIT_CODES.done, 'done, also when a value is ignored'], WRONG_USE_MEANING, FAILED_MEANING],
  },
  async ({ values }, io) => {
    const resolved = loadConfigHere(io);
    const settings = [...shownSettings(resolved), ...otelSettings(io.env)];
    const { problems } = resolved;
    io.out(
      values.json === true
        ? `${JSON.stringify({ schema: 'wsguard.config/1', settings, problems }, null, 2)}\n`
        : `${configText(settings, problems)}\n`,
    );
    return EXIT_CODES.done;
  },
);

/** The settings that an agent would have in this directory with this environment. */
export const loadConfigHere = (io: CliIo): ResolvedConfig =>
  loadConfig({ env: io.env, cwd: io.cwd, mainFile: null, execArgv: [] });
