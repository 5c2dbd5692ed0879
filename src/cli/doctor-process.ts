/** The checks of `wsguard doctor --pid`: what /proc and the files of the agent show about a running process. */
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { loadConfig, readConfigFile } from '../config/load-config.ts';
import type { Config } from '../config/schema.ts';
import { readSmallRegularFile } from '../core/files.ts';
import { formatBytes, formatCount } from '../core/format.ts';
import { CONDITIONS } from '../kinds/index.ts';
import type { Alert } from '../types/index.ts';
import { fileErrorText } from '../core/files.ts';
import { privateFolderIn } from '../core/folders.ts';
import { CliError } from './command.ts';
import { asUser, readUser } from './as-user.ts';
import { checkKernelLimits, readKernelLimits } from './doctor-limits.ts';
import { check, type Check, type DoctorReport } from './doctor-report.ts';

const AGENT_PATTERN = /@wsguard\/agent|wsguard\/dist\/(index|register)\.js/;
/** The agent rotates alerts.ndjson at 10 MB. */
const MAX_ALERTS_BYTES = 16 * 1024 ** 2;
const DESCRIPTOR_WARNING = CONDITIONS['descriptor-limit'].thresholds.share;

export function checkProcess(pid: number): DoctorReport {
  const proc = `/proc/${pid}`;
  const argv = readProc(pid, 'cmdline').split('\0').filter(Boolean);
  const program = checkProgram(proc, argv);
  let env: Record<string, string>;
  try {
    env = parseEnvironment(readProc(pid, 'environ'));
  } catch (error) {
    if (error instanceof CliError) throw error;
    const text = `${fileErrorText(error)}; run the command as the user of the process or as root`;
    return { checks: [program, check('settings', 'unknown', text)], problems: [] };
  }
  const cwd = readlinkSync(join(proc, 'cwd'));
  // A process in a container has another file system, which /proc/<pid>/root shows.
  const root = join(proc, 'root');
  const user = readUser(pid);
  const { config, problems } = asUser(user, () =>
    loadConfig({
      env,
      readFile: (path) => readConfigFile(join(root, path)),
      cwd,
      mainFile: null,
      execArgv: argv.slice(1),
    }),
  );
  const [dir, alerts] = asUser(user, () => {
    const folder = privateFolderIn(join(root, config.dir));
    return [`/${relative(root, folder)}`, openAlerts(folder, pid)] as const;
  });
  const checks = [
    program,
    checkAgent(argv, env, config),
    checkPorts(pid),
    checkMemory(pid),
    checkDescriptors(pid),
    ...checkKernelLimits(readKernelLimits(pid), socketInodes(pid).length),
    check('directory', 'yes', dir),
    ...checkAlerts(alerts, dir),
  ];
  return { checks, problems };
}

function readProc(pid: number, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    throw new CliError(
      'WSGUARD_DOCTOR_PID',
      `there is no process ${pid}`,
      'List the Node processes: ps -C node -o pid,args',
    );
  }
}

const parseEnvironment = (text: string): Record<string, string> =>
  Object.fromEntries(
    text
      .split('\0')
      .filter((pair) => pair.includes('='))
      .map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]),
  );

function checkProgram(proc: string, argv: readonly string[]): Check {
  const name = basename(argv[0] ?? '');
  if (!/node/.test(name)) return check('program', 'no', `${name || 'a kernel thread'} is not Node`);
  try {
    return check('program', 'yes', `Node${versionOf(proc)}: ${scriptName(argv)}`);
  } catch (error) {
    return check('program', 'unknown', `${scriptName(argv)} (${fileErrorText(error)})`);
  }
}

/**
 * Known without running the executable, which another user could have placed: it is the one that runs this command, or its
 * path has the version, as the paths of nvm and its kind do. Empty otherwise.
 */
function versionOf(proc: string): string {
  const exe = join(proc, 'exe');
  const [theirs, ours] = [exe, process.execPath].map((file) => statSync(file, { bigint: true }));
  if (theirs?.dev === ours?.dev && theirs?.ino === ours?.ino) return ` ${process.versions.node}`;
  const version = /[/-]v?(\d+\.\d+\.\d+)\//.exec(readlinkSync(exe))?.[1];
  return version === undefined ? '' : ` ${version}`;
}

/** The first argument that is neither a flag nor the value of one. Other arguments may hold secrets. */
function scriptName(argv: readonly string[]): string {
  const words = argv.slice(1);
  const isScript = (word: string, i: number): boolean =>
    !word.startsWith('-') &&
    !/^(-[rep]|--(require|import|loader|conditions|eval|print))$/.test(words[i - 1] ?? '');
  return words.find(isScript) ?? 'no script';
}

/** /proc shows the command line and the environment at start, not later changes by the program. */
function checkAgent(argv: readonly string[], env: Readonly<Record<string, string>>, config: Config): Check {
  if (!config.enabled) return check('agent', 'off', 'WSGUARD_ENABLED is false');
  if (argv.some((part) => AGENT_PATTERN.test(part))) return check('agent', 'yes', 'loaded by a flag of node');
  if (AGENT_PATTERN.test(env.NODE_OPTIONS ?? '')) return check('agent', 'yes', 'loaded by NODE_OPTIONS');
  const text = 'not loaded by a flag or NODE_OPTIONS; the program may call start() itself';
  return check('agent', 'unknown', text);
}

/** The agent starts when the process starts to listen. */
function checkPorts(pid: number): Check {
  const inodes = new Set(socketInodes(pid));
  const ports = new Set(['tcp', 'tcp6'].flatMap((table) => listeningPorts(pid, table, inodes)));
  return ports.size > 0
    ? check('serves', 'yes', `TCP ${[...ports].join(', ')}; a loaded agent has started`)
    : check(
        'serves',
        'no',
        'listens on no TCP port, so the agent waits; it starts with the first server, also one on a unix socket',
      );
}

function socketInodes(pid: number): string[] {
  const dir = `/proc/${pid}/fd`;
  return readdirSync(dir).flatMap((descriptor) => {
    try {
      return /^socket:\[(\d+)\]$/.exec(readlinkSync(join(dir, descriptor)))?.[1] ?? [];
    } catch {
      return [];
    }
  });
}

function listeningPorts(pid: number, table: string, inodes: ReadonlySet<string>): number[] {
  const lines = readFileSync(`/proc/${pid}/net/${table}`, 'utf8').split('\n').slice(1);
  return lines.flatMap((line) => {
    const fields = line.trim().split(/\s+/);
    // State 0A is LISTEN; field 9 is the inode of the socket.
    if (fields[3] !== '0A' || !inodes.has(fields[9] ?? '')) return [];
    return [parseInt(fields[1]?.split(':')[1] ?? '', 16)];
  });
}

function checkMemory(pid: number): Check {
  const status = readProc(pid, 'status');
  const bytes = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0) * 1024;
  return check('memory', 'yes', `RSS ${formatBytes(bytes('VmRSS'))}, peak ${formatBytes(bytes('VmHWM'))}`);
}

function checkDescriptors(pid: number): Check {
  const open = readdirSync(`/proc/${pid}/fd`).length;
  const limit = Number(/^Max open files\s+(\d+)/m.exec(readProc(pid, 'limits'))?.[1] ?? 0);
  if (limit === 0) return check('descriptors', 'yes', `${formatCount(open)} open, no limit`);
  const works = open >= DESCRIPTOR_WARNING.value * limit ? 'no' : 'yes';
  return check('descriptors', works, `${formatCount(open)} of ${formatCount(limit)} open`);
}

/** The alerts of the process that are open; null when no alert was written. */
function openAlerts(folder: string, pid: number): Alert[] | null {
  let text: string;
  try {
    text = readSmallRegularFile(join(folder, 'alerts.ndjson'), MAX_ALERTS_BYTES);
  } catch {
    return null;
  }
  const open = new Map<string, Alert>();
  for (const alert of text.split('\n').flatMap(parseAlert)) {
    if (alert.pid !== pid) continue;
    if (alert.event === 'closed') open.delete(alert.id);
    else open.set(alert.id, alert);
  }
  return [...open.values()];
}

function checkAlerts(alerts: readonly Alert[] | null, dir: string): Check[] {
  if (alerts === null) return [check('open alerts', 'yes', 'none: no alert was written')];
  if (alerts.length === 0) return [check('open alerts', 'yes', 'none of this process')];
  return alerts.map(({ id, kind, severity, title }) =>
    check('open alert', 'no', `${kind}, ${severity}: ${title}; read ${dir}/${id}/report.txt`),
  );
}

function parseAlert(line: string): Alert[] {
  try {
    const alert = JSON.parse(line) as Alert | null;
    return alert === null ? [] : [alert];
  } catch {
    return [];
  }
}
