/** `wsguard doctor`: what works here, or in a running process, and why not. */
import { parseArgs } from 'node:util';
import { problemText } from '../config/settings-text.ts';
import type { ConfigProblem } from '../config/schema.ts';
import { checkLines, type Check } from './doctor-check.ts';
import { resolveHere } from './config.ts';
import { checksHere } from './doctor-machine.ts';
import { checksOfProcess } from './doctor-process.ts';
import { CliError, UsageError, type Run } from './io.ts';

export const run: Run = async (argv, io) => {
  const { pid, json } = options(argv);
  let checks: readonly Check[];
  let problems: readonly ConfigProblem[];
  if (pid === null) {
    const resolved = resolveHere(io);
    problems = resolved.problems;
    checks = await checksHere(resolved.config, io.env);
  } else {
    if (process.platform !== 'linux') {
      throw new CliError('WSGUARD_DOCTOR_PID', `no /proc on ${process.platform}`, 'Run it without --pid.');
    }
    ({ checks, problems } = await checksOfProcess(pid));
  }
  if (json) io.out(`${JSON.stringify({ schema: 'wsguard.doctor/1', pid, checks, problems }, null, 2)}\n`);
  else
    io.out(
      checkLines(checks) + problems.map((problem) => `NO     setting: ${problemText(problem)}\n`).join(''),
    );
  return 0;
};

function options(argv: readonly string[]): { pid: number | null; json: boolean } {
  let values: { pid?: string | undefined; json: boolean };
  try {
    ({ values } = parseArgs({
      args: [...argv],
      options: { pid: { type: 'string' }, json: { type: 'boolean', default: false } },
    }));
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  if (values.pid === undefined) return { pid: null, json: values.json };
  if (!/^[1-9]\d*$/.test(values.pid)) throw new UsageError(`--pid ${values.pid} is not a process id`);
  return { pid: Number(values.pid), json: values.json };
}
