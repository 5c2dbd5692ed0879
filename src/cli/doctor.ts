/** `wsguard doctor`: what works on this machine, or in a running process, and why not. */
import {
  CliError,
  defineCommand,
  EXIT_CODES,
  FAILED_MEANING,
  UsageError,
  WRONG_USE_MEANING,
  type CliIo,
} from './command.ts';
import { loadConfigHere } from './config.ts';
import { checkMachine } from './doctor-machine.ts';
import { checkProcess } from './doctor-process.ts';
import { doctorText, type DoctorReport } from './doctor-report.ts';
import { startProgress } from './progress.ts';

export const doctor = defineCommand(
  {
    name: 'doctor',
    summary: 'Shows what works on this machine or in a running process, and why something does not.',
    usage: ['doctor [--pid <process id>] [--json]'],
    details: [
      'Without --pid it checks the agent that would start in this directory with this environment. With --pid it reads what\n/proc and the files in WSGUARD_DIR show about a running process (Linux only). It sends nothing to the process and\nnothing over the network.',
      'Each line starts with ok, partly, off (switched off by a setting), NO, or ? (cannot be checked).',
    ],
    maxPositionals: 0,
    options: {
      pid: { type: 'string', value: '<process id>', help: 'Check this running process.' },
      json: { type: 'boolean', help: 'Print JSON.' },
    },
    examples: [
      ['wsguard doctor', 'Checks this machine and the settings of this environment.'],
      [
        'wsguard doctor --pid 4711',
        'Checks a running process: its agent, settings, ports, memory and open alerts.',
      ],
    ],
    exitCodes: [[EXIT_CODES.done, 'done, also when a check says NO'], WRONG_USE_MEANING, FAILED_MEANING],
  },
  async ({ values }, io) => {
    const pid = values.pid === undefined ? null : parsePid(values.pid);
    const report = await runChecks(pid, io);
    io.out(
      values.json === true
        ? `${JSON.stringify({ schema: 'wsguard.doctor/1', pid, ...report }, null, 2)}\n`
        : doctorText(report),
    );
    return EXIT_CODES.done;
  },
);

function parsePid(text: string): number {
  if (!/^[1-9]\d*$/.test(text)) throw new UsageError(`--pid takes a process id, not ${text}`);
  return Number(text);
}

async function runChecks(pid: number | null, io: CliIo): Promise<DoctorReport> {
  const progress = startProgress(io, pid === null ? 'checking this machine' : `checking process ${pid}`);
  try {
    if (pid !== null) return await checkRunning(pid);
    const { config, problems } = loadConfigHere(io);
    return { checks: await checkMachine(config, io.env), problems };
  } finally {
    progress.stop();
  }
}

async function checkRunning(pid: number): Promise<DoctorReport> {
  if (process.platform !== 'linux')
    throw new CliError(
      'WSGUARD_DOCTOR_PID',
      `--pid needs /proc, which ${process.platform} does not have`,
      'Run wsguard doctor without --pid, in the directory and environment of the process.',
    );
  return checkProcess(pid);
}
