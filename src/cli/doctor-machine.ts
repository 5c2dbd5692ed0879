/** The checks of `wsguard doctor`: this Node, this machine and these settings. */
import { accessSync, constants, existsSync, readFileSync, statfsSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { totalmem } from 'node:os';
import { dirname } from 'node:path';
import * as v8 from 'node:v8';
import { nodeOptionsForAnyFolder } from '../core/child-preloads.ts';
import { createClock } from '../core/clock.ts';
import { CaptureHistory } from '../capture/capture-history.ts';
import { forkUnavailableReason } from '../capture/fork-support.ts';
import { DISK_RESERVE_BYTES } from '../capture/gate.ts';
import { loadAddon } from '../capture/native-addon.ts';
import { diskFreeBytes, refusedDirectory } from '../capture/snapshot-files.ts';
import type { Config } from '../config/schema.ts';
import { formatBytes, formatCount } from '../core/format.ts';
import { chooseFolder } from '../core/no-files.ts';
import { privateFolderIn } from '../core/folders.ts';
import { isAllowed } from '../core/process.ts';
import { findCredentials } from '../deliver/s3/credentials.ts';
import { createLogExporter, createMetricExporter, readOtlpSettings } from '../export/otlp-settings.ts';
import { checkKernelLimits, readKernelLimits } from './doctor-limits.ts';
import { check, type Check } from './doctor-report.ts';

type Environment = Readonly<Record<string, string | undefined>>;

const MIN_NODE_MAJOR = 20;

export async function checkMachine(config: Config, env: Environment): Promise<Check[]> {
  return [
    checkNode(),
    config.enabled
      ? check('enabled', 'yes', 'WSGUARD_ENABLED is true')
      : check('enabled', 'off', 'WSGUARD_ENABLED is false'),
    check(
      'to load it',
      'yes',
      `NODE_OPTIONS='${nodeOptionsForAnyFolder()}', in every folder of this machine`,
    ),
    ...checkTimeScale(config),
    checkThread(config),
    checkHeapLimit(),
    checkContainerLimit(),
    checkGcProfiler(),
    checkInspector(),
    checkTcpTable(),
    ...checkKernelLimits(readKernelLimits('self'), null),
    ...checkFiles(config),
    await checkPrometheus(config),
    checkOtlp(env),
    checkWebhook(config),
    checkUpload(config),
    checkS3(config, env),
  ];
}

function checkNode(): Check {
  const { node } = process.versions;
  const text = `Node ${node} on ${process.platform} ${process.arch}`;
  return Number(node.split('.')[0]) >= MIN_NODE_MAJOR
    ? check('node', 'yes', text)
    : check('node', 'no', `${text}; the agent needs Node ${MIN_NODE_MAJOR} or later`);
}

function checkThread({ thread }: Config): Check {
  const consequence = 'detection and delivery run on the application thread';
  if (thread === 'off') return check('watcher thread', 'off', `WSGUARD_THREAD is off; ${consequence}`);
  if (isAllowed('worker')) return check('watcher thread', 'yes', 'takes up to 35 MB of RSS');
  return check('watcher thread', 'no', `Node runs with --permission without --allow-worker; ${consequence}`);
}

function checkTimeScale({ timeScale }: Config): Check[] {
  const text = `WSGUARD_TIME_SCALE is ${timeScale}: windows and rates are scaled; for tests and demos only`;
  return timeScale === 1 ? [] : [check('time scale', 'partly', text)];
}

function checkHeapLimit(): Check {
  const limit = v8.getHeapStatistics().heap_size_limit;
  const text = `${formatBytes(limit)} with the flags of this command, including three semi-spaces`;
  return check('heap limit', 'yes', text);
}

function checkContainerLimit(): Check {
  const limit = process.constrainedMemory();
  // Without a limit the kernel reports a number far above the physical memory.
  return limit === 0 || limit >= totalmem()
    ? check('container limit', 'yes', 'none; only the heap limit counts')
    : check('container limit', 'yes', formatBytes(limit));
}

function checkGcProfiler(): Check {
  return 'GCProfiler' in v8
    ? check('post-GC heap', 'yes', 'measured after each major GC by v8.GCProfiler')
    : check('post-GC heap', 'no', 'this Node has no v8.GCProfiler; update to Node 20 or later');
}

function checkInspector(): Check {
  try {
    require('node:inspector');
    return check('source lines', 'yes', 'the inspector locates listeners and allocations');
  } catch {
    return check('source lines', 'no', 'this Node was built without the inspector, which locates listeners');
  }
}

function checkTcpTable(): Check {
  try {
    readFileSync('/proc/self/net/tcp');
    return check('TCP state', 'yes', '/proc/net/tcp shows peers that no longer acknowledge data');
  } catch {
    const text = 'no /proc/net/tcp: SSE peers that disappeared cannot be detected';
    return check('TCP state', 'no', text);
  }
}

/** An alert with its report takes less. With less room than this nothing is complete. */
const MIN_FREE_BYTES = 1024 ** 2;

/** A snapshot is a file in the directory. */
function checkFiles(config: Config): Check[] {
  const directory = checkDirectory(config);
  const canWrite = directory.works === 'yes' || config.snapshot === 'off';
  return [
    directory,
    canWrite ? checkSnapshots(config) : check('snapshots', 'no', 'not possible without a writable directory'),
  ];
}

function checkDirectory(config: Config): Check {
  const { dir, noFilesReason } = chooseFolder(config, null);
  if (noFilesReason !== null) return check('directory', 'no', `WSGUARD_NO_FILES: ${noFilesReason}`);
  let existing = dir;
  while (!existsSync(existing) && dirname(existing) !== existing) existing = dirname(existing);
  try {
    if (!statSync(existing, { bigint: true }).isDirectory())
      throw Object.assign(new Error('a file'), { code: 'ENOTDIR' });
    accessSync(existing, constants.W_OK);
    const { bavail, bsize } = statfsSync(existing);
    const text = `${existing === dir ? dir : `${dir}, created with the first file`}; ${formatBytes(bavail * bsize)} free`;
    return bavail * bsize >= MIN_FREE_BYTES
      ? check('directory', 'yes', text)
      : check(
          'directory',
          'no',
          `WSGUARD_DISK_FULL: ${text}; free disk space, or set WSGUARD_DIR to another disk`,
        );
  } catch (error) {
    const { code = 'unknown' } = error as NodeJS.ErrnoException;
    const text = `${dir}: cannot write to ${existing} (${code}); set WSGUARD_DIR to another directory`;
    return check('directory', 'no', `WSGUARD_DIR_UNWRITABLE: ${text}`);
  }
}

function checkSnapshots({ snapshot, pauseBudgetMs, redact, dir }: Config): Check {
  if (snapshot === 'off') return check('snapshots', 'off', 'WSGUARD_SNAPSHOT is off');
  const refusal = refusedDirectory(privateFolderIn(dir));
  if (refusal !== null) return check('snapshots', 'no', refusal);
  const freeBytes = diskFreeBytes(privateFolderIn(dir));
  if (freeBytes !== null && freeBytes < DISK_RESERVE_BYTES) {
    const text = `refused while less than ${formatBytes(DISK_RESERVE_BYTES)} are free on the disk of ${dir}`;
    return check('snapshots', 'no', `${text}: ${formatBytes(freeBytes)}`);
  }
  const pause = pauseBudgetMs === null ? 'the pause budget' : `a pause of ${formatCount(pauseBudgetMs)} ms`;
  const limits = `if memory, disk and ${pause} allow it`;
  const secrets = redact === 'on' ? 'values masked' : 'values NOT masked (WSGUARD_REDACT is off)';
  if (snapshot === 'inprocess') return check('snapshots', 'yes', `in the process, ${limits}; ${secrets}`);
  const reason = forkRefusal() ?? new CaptureHistory(privateFolderIn(dir), createClock()).forkOffBecause;
  if (reason === null) return check('snapshots', 'yes', `in a forked process, ${limits}; ${secrets}`);
  return snapshot === 'fork'
    ? check('snapshots', 'no', `cannot fork: ${reason}`)
    : check(
        'snapshots',
        'partly',
        `in the process, because it cannot fork: ${reason}; ${limits}; ${secrets}`,
      );
}

/** Loads the addon, because it may be a file of another machine. */
function forkRefusal(): string | null {
  const reason = forkUnavailableReason();
  if (reason !== null) return reason;
  const addon = loadAddon();
  return 'outcome' in addon ? addon.reason.replace('cannot fork: ', '') : null;
}

async function checkPrometheus({ prometheusPort: port, prometheusHost: host }: Config): Promise<Check> {
  if (port === null) return check('Prometheus page', 'off', 'WSGUARD_PROMETHEUS_PORT is not set');
  const error = await tryListen(port, host);
  if (error === null) {
    const text = port === 0 ? `a free port of ${host}` : `http://${host}:${port}/metrics`;
    return check('Prometheus page', 'yes', text);
  }
  if (error === 'EADDRINUSE') {
    const text = `port ${port} is taken; the agent tries the next 14 ports and logs the one it uses`;
    return check('Prometheus page', 'partly', text);
  }
  return check('Prometheus page', 'no', `WSGUARD_PROMETHEUS_LISTEN: ${host}:${port} (${error})`);
}

/** Resolves with the code of the error, or with `null` when the port is free. */
const tryListen = (port: number, host: string): Promise<string | null> =>
  new Promise((resolve) => {
    const server = createServer();
    server.once('error', ({ code = 'unknown' }: NodeJS.ErrnoException) => resolve(code));
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(null)));
  });

function checkOtlp(env: Environment): Check {
  const { metrics, logs, problems } = readOtlpSettings(env);
  const [problem] = problems;
  if (problem !== undefined) return check('OpenTelemetry', 'no', `${problem.code}: ${problem.reason}`);
  if (metrics === null && logs === null)
    return check('OpenTelemetry', 'off', 'OTEL_EXPORTER_OTLP_ENDPOINT is not set');
  const isMissing =
    (metrics !== null && !createMetricExporter(metrics)) || (logs !== null && !createLogExporter(logs));
  return isMissing
    ? check('OpenTelemetry', 'no', 'WSGUARD_OTLP_PROTOCOL: the gRPC exporters are not installed')
    : check('OpenTelemetry', 'yes', `metrics over ${metrics ?? 'nothing'}, alerts over ${logs ?? 'nothing'}`);
}

function checkWebhook({ webhookUrl, webhookSecret }: Config): Check {
  if (webhookUrl === null) return check('webhook', 'off', 'WSGUARD_WEBHOOK_URL is not set');
  return webhookSecret === null
    ? check('webhook', 'yes', 'set, requests not signed (WSGUARD_WEBHOOK_SECRET is not set)')
    : check('webhook', 'yes', 'set, requests signed');
}

function checkUpload({ uploadUrl, redact }: Config): Check {
  if (uploadUrl === null) return check('upload', 'off', 'WSGUARD_UPLOAD_URL is not set');
  return redact === 'on'
    ? check('upload', 'yes', 'redacted files only')
    : check('upload', 'yes', 'all files, values NOT masked (WSGUARD_REDACT is off)');
}

function checkS3({ s3Bucket, redact }: Config, env: Environment): Check {
  if (s3Bucket === null) return check('S3', 'off', 'WSGUARD_S3_BUCKET is not set');
  const files =
    redact === 'on' ? 'redacted files only' : 'all files, values NOT masked (WSGUARD_REDACT is off)';
  const found = findCredentials(env);
  switch (found.from) {
    case 'none':
      return check('S3', 'no', `WSGUARD_S3_NO_CREDENTIALS: ${found.reason}`);
    case 'variables':
      return check('S3', 'yes', `bucket ${s3Bucket}, credentials of the AWS variables; ${files}`);
    default:
      return check(
        'S3',
        'unknown',
        `bucket ${s3Bucket}, credentials of ${found.from}, not read here; ${files}`,
      );
  }
}
