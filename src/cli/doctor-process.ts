/** What /proc tells of a running process, and what the agent in it has written. Nothing is sent to the process. */
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { loadConfig, readConfigFile } from '../config/load-config.ts';
import type { Config, ConfigProblem } from '../config/schema.ts';
import { formatBytes } from '../core/format.ts';
import type { Alert } from '../types/index.ts';
import { check, type Check } from './doctor-check.ts';
import { CliError } from './io.ts';

export interface ProcessChecks {
  readonly checks: readonly Check[];
  readonly problems: readonly ConfigProblem[];
}

const AGENT = /@wsguard\/agent|wsguard\/dist\/(index|register)\.js/;
const MAX_ALERT_BYTES = 1024 * 1024;

export async function checksOfProcess(pid: number): Promise<ProcessChecks> {
  const proc = `/proc/${pid}`;
  const argv = read(pid, 'cmdline').split('\0').filter(Boolean);
  const program = await programCheck(proc, argv);
  let env: Record<string, string>;
  try {
    env = environmentOf(read(pid, 'environ'));
  } catch (error) {
    const detail = `${reasonOf(error)}; run as the user of the process, or as root`;
    return { checks: [program, check('settings', 'unknown', detail)], problems: [] };
  }
  const cwd = readlinkSync(join(proc, 'cwd'));
  // Looked at through its own root: in a container its paths are not ours.
  const root = join(proc, 'root');
  const { config, problems } = loadConfig({
    env,
    readFile: (path) => readConfigFile(join(root, path)),
    cwd,
    mainFile: null,
    execArgv: argv.slice(1),
  });
  const checks = [
    program,
    loadedCheck(argv, env, config),
    servesCheck(pid),
    memoryCheck(pid),
    descriptorCheck(pid),
    check('directory', 'yes', `${config.dir}${alertSummary(join(root, config.dir), pid)}`),
  ];
  return { checks, problems };
}

function read(pid: number, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    throw new CliError(
      'WSGUARD_DOCTOR_PID',
      `no process ${pid}`,
      'List the processes: ps -C node -o pid,args',
    );
  }
}

const environmentOf = (text: string): Record<string, string> =>
  Object.fromEntries(
    text
      .split('\0')
      .filter((pair) => pair.includes('='))
      .map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]),
  );

async function programCheck(proc: string, argv: readonly string[]): Promise<Check> {
  const name = basename(argv[0] ?? '');
  if (!/node/.test(name)) return check('program', 'no', `${name || 'a kernel thread'} is not Node`);
  try {
    if (!isTrusted(proc)) return check('program', 'yes', `Node: ${programOf(argv)}`);
    const { stdout } = await promisify(execFile)(join(proc, 'exe'), ['--version'], {
      timeout: 5000,
      env: {},
    });
    return check('program', 'yes', `Node ${stdout.trim().slice(1)}: ${programOf(argv)}`);
  } catch (error) {
    return check('program', 'unknown', `${programOf(argv)} (${reasonOf(error)})`);
  }
}

/** Its arguments may hold secrets, those of flags too. */
function programOf(argv: readonly string[]): string {
  const words = argv.slice(1);
  const isProgram = (word: string, i: number): boolean =>
    !word.startsWith('-') &&
    !/^(-[rep]|--(require|import|loader|conditions|eval|print))$/.test(words[i - 1] ?? '');
  return words.find(isProgram) ?? 'no file';
}

/**
 * To ask an executable for its version is to run it, as root maybe: only one that root or we put there, and none from
 * inside a container, where its own root could have.
 */
function isTrusted(proc: string): boolean {
  const { uid } = statSync(join(proc, 'exe'));
  const space = (of: string): string => readlinkSync(join(of, 'ns', 'mnt'));
  return (uid === 0 || uid === process.getuid?.()) && space(proc) === space('/proc/self');
}

/** As it was started; what the program changed in itself later is not in /proc. */
function loadedCheck(argv: readonly string[], env: Readonly<Record<string, string>>, config: Config): Check {
  if (!config.enabled) return check('agent', 'off', 'by WSGUARD_ENABLED');
  if (argv.some((part) => AGENT.test(part))) return check('agent', 'yes', 'loaded by a flag');
  if (AGENT.test(env.NODE_OPTIONS ?? '')) return check('agent', 'yes', 'loaded by NODE_OPTIONS');
  return check(
    'agent',
    'unknown',
    'neither in its flags nor in NODE_OPTIONS; the program may call start() itself',
  );
}

/** The agent sleeps until the process serves. */
function servesCheck(pid: number): Check {
  const inodes = new Set(socketInodes(pid));
  const ports = ['tcp', 'tcp6'].flatMap((table) => listeningPorts(pid, table, inodes));
  if (ports.length > 0)
    return check('serves', 'yes', `TCP ${[...new Set(ports)].join(', ')}; the agent is awake`);
  return check('serves', 'no', 'it listens on no TCP port; the agent sleeps unless a unix socket is served');
}

function socketInodes(pid: number): string[] {
  const dir = `/proc/${pid}/fd`;
  return readdirSync(dir).flatMap((fd) => {
    try {
      return /^socket:\[(\d+)\]$/.exec(readlinkSync(join(dir, fd)))?.[1] ?? [];
    } catch {
      return [];
    }
  });
}

function listeningPorts(pid: number, table: string, inodes: ReadonlySet<string>): number[] {
  const lines = readFileSync(`/proc/${pid}/net/${table}`, 'utf8').split('\n').slice(1);
  return lines.flatMap((line) => {
    const fields = line.trim().split(/\s+/);
    // State 0A is LISTEN.
    if (fields[3] !== '0A' || !inodes.has(fields[9] ?? '')) return [];
    return [parseInt(fields[1]?.split(':')[1] ?? '', 16)];
  });
}

function memoryCheck(pid: number): Check {
  const kibibytes = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(read(pid, 'status'))?.[1] ?? 0) * 1024;
  return check(
    'memory',
    'yes',
    `RSS ${formatBytes(kibibytes('VmRSS'))}, at most ${formatBytes(kibibytes('VmHWM'))}`,
  );
}

function descriptorCheck(pid: number): Check {
  const open = readdirSync(`/proc/${pid}/fd`).length;
  const limit = Number(/^Max open files\s+(\d+)/m.exec(read(pid, 'limits'))?.[1] ?? 0);
  const works = limit > 0 && open > 0.8 * limit ? 'no' : 'yes';
  return check('descriptors', works, `${open} of ${limit === 0 ? 'no limit' : limit}`);
}

function alertSummary(dir: string, pid: number): string {
  let lines: string[];
  try {
    lines = readFileSync(join(dir, 'alerts.ndjson'), 'utf8').slice(-MAX_ALERT_BYTES).trim().split('\n');
  } catch {
    return '; no alert was written';
  }
  const open = new Map<string, Alert>();
  for (const alert of lines.flatMap(parseAlert).filter((one) => one.pid === pid)) {
    if (alert.event === 'closed') open.delete(alert.id);
    else open.set(alert.id, alert);
  }
  if (open.size === 0) return '; no open alert of this process';
  return `; open: ${[...open.values()].map(({ kind, title }) => `${kind} (${title})`).join('; ')}`;
}

function parseAlert(line: string): Alert[] {
  try {
    return [JSON.parse(line) as Alert];
  } catch {
    return [];
  }
}

const reasonOf = (error: unknown): string =>
  (error as NodeJS.ErrnoException).code ?? (error as Error).message;
