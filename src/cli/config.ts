/** `wsguard config`: each setting with its value and its source. */
import { parseArgs } from 'node:util';
import { loadConfig } from '../config/load-config.ts';
import { configText, shownSettings } from '../config/settings-text.ts';
import type { ResolvedConfig } from '../config/schema.ts';
import { UsageError, type CliIo, type Run } from './io.ts';

export const run: Run = async (argv, io) => {
  const json = wantsJson(argv);
  const resolved = resolveHere(io);
  io.out(json ? `${JSON.stringify(configJson(resolved), null, 2)}\n` : `${configText(resolved)}\n`);
  return 0;
};

/** As an agent would that starts in this directory with this environment. */
export const resolveHere = (io: CliIo): ResolvedConfig =>
  loadConfig({
    env: io.env,
    cwd: io.cwd,
    mainFile: null,
    execArgv: [],
  });

const configJson = (resolved: ResolvedConfig) => ({
  schema: 'wsguard.config/1',
  settings: shownSettings(resolved),
  problems: resolved.problems,
});

function wantsJson(argv: readonly string[]): boolean {
  try {
    const { values } = parseArgs({
      args: [...argv],
      options: { json: { type: 'boolean', default: false } },
    });
    return values.json;
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}
