/** What the agent would find on this machine, with this Node, these settings. Nothing is sent anywhere. */
import { accessSync, constants, existsSync, readFileSync, statfsSync } from 'node:fs';
import { createServer } from 'node:net';
import { totalmem } from 'node:os';
import { dirname } from 'node:path';
import { getHeapStatistics } from 'node:v8';
import * as v8 from 'node:v8';
import type { Config } from '../config/schema.ts';
import { createLogExporter, createMetricExporter, readOtlpSettings } from '../export/otlp-settings.ts';
import { isAllowed } from '../core/process.ts';
import { formatBytes } from '../core/format.ts';
import { check, type Check } from './doctor-check.ts';

type Environment = Readonly<Record<string, string | undefined>>;

export async function checksHere(config: Config, env: Environment): Promise<Check[]> {
  return [
    nodeCheck(),
    check(
      'enabled',
      config.enabled ? 'yes' : 'off',
      config.enabled ? 'WSGUARD_ENABLED' : 'by WSGUARD_ENABLED',
    ),
    threadCheck(config),
    heapCheck(),
    containerCheck(),
    floorCheck(),
    inspectorCheck(),
    kernelCheck(),
    dirCheck(config.dir),
    snapshotCheck(config),
    await pageCheck(config),
    otlpCheck(env),
    webhookCheck(config),
    uploadCheck(config),
  ];
}

function nodeCheck(): Check {
  const { node } = process.versions;
  const major = Number(node.split('.')[0]);
  const where = `Node ${node} on ${process.platform} ${process.arch}`;
  return major >= 20 ? check('node', 'yes', where) : check('node', 'no', `${where}; the agent needs Node 20`);
}

function threadCheck({ thread }: Config): Check {
  if (thread === 'off')
    return check('watcher thread', 'off', 'by WSGUARD_THREAD; its work is done on the app thread');
  if (isAllowed('worker')) return check('watcher thread', 'yes', 'a thread of its own, about 23 MB of RSS');
  return check(
    'watcher thread',
    'no',
    '--permission without --allow-worker; its work is done on the app thread',
  );
}

function heapCheck(): Check {
  const limit = getHeapStatistics().heap_size_limit;
  return check(
    'heap limit',
    'yes',
    `${formatBytes(limit)} with the flags of this command, three semi-spaces included`,
  );
}

function containerCheck(): Check {
  const limit = process.constrainedMemory();
  // Without a limit the kernel answers a huge number.
  if (limit === 0 || limit >= totalmem())
    return check('container limit', 'yes', 'none; only the heap limit counts');
  return check('container limit', 'yes', formatBytes(limit));
}

function floorCheck(): Check {
  if ('GCProfiler' in v8) return check('exact heap floor', 'yes', 'v8.GCProfiler');
  return check('exact heap floor', 'no', 'this Node has no v8.GCProfiler');
}

function inspectorCheck(): Check {
  try {
    require('node:inspector');
    return check("a listener's line", 'yes', 'the in-process inspector');
  } catch {
    return check("a listener's line", 'no', 'this Node was built without the inspector');
  }
}

function kernelCheck(): Check {
  try {
    readFileSync('/proc/self/net/tcp');
    return check("the kernel's word", 'yes', '/proc/net/tcp shows peers that retransmit');
  } catch {
    return check("the kernel's word", 'no', 'no /proc/net/tcp: SSE peers that are gone cannot be told');
  }
}

function dirCheck(dir: string): Check {
  let existing = dir;
  while (!existsSync(existing) && dirname(existing) !== existing) existing = dirname(existing);
  try {
    accessSync(existing, constants.W_OK);
    const { bavail, bsize } = statfsSync(existing);
    const made = existing === dir ? '' : ', made at the first alarm';
    return check('directory', 'yes', `${dir}${made}; ${formatBytes(bavail * bsize)} free`);
  } catch (error) {
    const { code = 'unknown' } = error as NodeJS.ErrnoException;
    return check('directory', 'no', `${dir}: ${existing} ${code} (WSGUARD_DIR_UNWRITABLE)`);
  }
}

function snapshotCheck({ snapshot, pauseBudgetMs, redact }: Config): Check {
  if (snapshot === 'off') return check('snapshots', 'off', 'by WSGUARD_SNAPSHOT');
  const budget = `a pause budget of ${pauseBudgetMs} ms`;
  const secrets = redact === 'on' ? 'values masked' : 'values NOT masked (WSGUARD_REDACT=off)';
  return check('snapshots', 'yes', `${snapshot}, where memory, disk and ${budget} allow it; ${secrets}`);
}

async function pageCheck({ prometheusPort: port, prometheusHost: host }: Config): Promise<Check> {
  if (port === null) return check('Prometheus page', 'off', 'WSGUARD_PROMETHEUS_PORT is not set');
  const error = await tryListen(port, host);
  if (error === null) return check('Prometheus page', 'yes', `http://${host}:${port}/metrics`);
  if (error === 'EADDRINUSE')
    return check('Prometheus page', 'partly', `${port} is taken; the next free of 15`);
  return check('Prometheus page', 'no', `${host}:${port}: ${error} (WSGUARD_PROMETHEUS_LISTEN)`);
}

const tryListen = (port: number, host: string): Promise<string | null> =>
  new Promise((resolve) => {
    const server = createServer();
    server.once('error', ({ code = 'unknown' }: NodeJS.ErrnoException) => resolve(code));
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(null)));
  });

function otlpCheck(env: Environment): Check {
  const { metrics, logs, problems } = readOtlpSettings(env);
  const [problem] = problems;
  if (problem !== undefined) return check('OpenTelemetry', 'no', `${problem.code}: ${problem.reason}`);
  if (metrics === null && logs === null)
    return check('OpenTelemetry', 'off', 'no OTEL_EXPORTER_OTLP_ENDPOINT');
  const absent =
    (metrics !== null && !createMetricExporter(metrics)) || (logs !== null && !createLogExporter(logs));
  if (absent)
    return check('OpenTelemetry', 'no', 'WSGUARD_OTLP_PROTOCOL: the gRPC exporters are not installed');
  return check('OpenTelemetry', 'yes', `metrics ${metrics ?? 'off'}, alerts as log records ${logs ?? 'off'}`);
}

function webhookCheck({ webhookUrl, webhookSecret }: Config): Check {
  if (webhookUrl === null) return check('webhook', 'off', 'WSGUARD_WEBHOOK_URL is not set');
  return check(
    'webhook',
    'yes',
    webhookSecret === null ? 'set, not signed (WSGUARD_WEBHOOK_SECRET)' : 'set, signed',
  );
}

function uploadCheck({ uploadUrl, redact }: Config): Check {
  if (uploadUrl === null) return check('upload', 'off', 'WSGUARD_UPLOAD_URL is not set');
  return check('upload', 'yes', redact === 'on' ? 'redacted files only' : 'all files (WSGUARD_REDACT=off)');
}
