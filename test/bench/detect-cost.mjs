// Measures one evaluation at 120 rows and 200 series, in a Worker with the limits of the watcher: a small young generation
// means more and shorter scavenges. All series are noisy, and some of them grow.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

const ROUNDS = 400;
/** After this many more evaluations V8 has compiled the functions that run often: a watcher needs 13 hours for them. */
const WARM_UP_ROUNDS = 1600;
const SERIES = 200;
const ROW_MS = 30_000;

/** `root`: folder with a built `dist`. */
export function costOfEvaluation(root) {
  const require = createRequire(import.meta.url);
  const { RESOURCE_LIMITS: resourceLimits } = require(join(root, 'dist', 'agent', 'watcher-host.js'));
  return new Promise((resolve, reject) => {
    const worker = new Worker(fileURLToPath(import.meta.url), { workerData: { root }, resourceLimits });
    worker.on('message', resolve);
    worker.on('error', reject);
  });
}

function measure(root) {
  const require = createRequire(import.meta.url);
  const { createDetection } = require(join(root, 'dist', 'detection.js'));
  const identity = { service: 's', instance: 'i', host: 'h', pid: 1, worker: null };
  const detection = createDetection({
    identity,
    config: { timeScale: 1, mute: [], maxConnections: null },
    newId: () => 'id',
  });
  const rounds = [];
  for (let row = 0; row < 120 + ROUNDS + WARM_UP_ROUNDS; row += 1) {
    const sample = sampleAt(row);
    const before = now();
    detection.addSample(sample);
    if (row >= 120) rounds.push(differences(before, now()));
  }
  const first = summary(rounds.slice(0, ROUNDS));
  return { series: SERIES, rows: 120, ...first, later: summary(rounds.slice(-ROUNDS)) };
}

/** `threadMs` is the CPU time of this thread, `cpuMs` that of all threads: V8 compiles and collects in others. */
function now() {
  const { user, system } = process.cpuUsage();
  const threadNs = Number.parseInt(readFileSync('/proc/thread-self/schedstat', 'utf8'), 10);
  return { wallMs: performance.now(), threadMs: threadNs / 1e6, cpuMs: (user + system) / 1000 };
}

const differences = (before, after) =>
  Object.fromEntries(Object.entries(after).map(([name, value]) => [name, value - before[name]]));

function summary(rounds) {
  const values = (name) => rounds.map((round) => round[name]);
  return {
    medianMs: atShare(values('wallMs'), 0.5),
    p99Ms: atShare(values('wallMs'), 0.99),
    threadMedianMs: atShare(values('threadMs'), 0.5),
    threadP99Ms: atShare(values('threadMs'), 0.99),
    cpuMeanMs: mean(values('cpuMs')),
  };
}

const rounded = (ms) => Number(ms.toFixed(3));
const mean = (values) => rounded(values.reduce((sum, ms) => sum + ms, 0) / values.length);
const atShare = (values, share) =>
  rounded(values.toSorted((a, b) => a - b)[Math.floor(values.length * share)]);

/** Pseudo-random numbers, the same on every machine. */
const noise = (row, series) => (((row * 7919 + series * 104_729) % 1009) / 1009) * 20;

function sampleAt(row) {
  const of = (count) => ({ websocket: count, sse: 0, polling: 0, upgraded: 0 });
  const connections = 500 + Math.round(noise(row, 0));
  const MB = 1024 ** 2;
  return {
    seq: row,
    atMs: row * ROW_MS,
    wallMs: row * ROW_MS,
    uptimeMs: row * ROW_MS,
    memory: {
      heapUsedBytes: 60 * MB,
      heapTotalBytes: 80 * MB,
      heapLimitBytes: 560 * MB,
      oldSpaceBytes: (50 + noise(row, 1)) * MB,
      rssBytes: (120 + noise(row, 2)) * MB,
      externalBytes: 3 * MB,
      arrayBuffersBytes: MB,
      mallocedBytes: MB,
      peakMallocedBytes: MB,
    },
    limits: {
      heapCapacityBytes: 512 * MB,
      containerBytes: 1024 * MB,
      containerUsedBytes: null,
      containerOomKills: 0,
    },
    gc: {
      minorTotal: row * 9,
      majorTotal: Math.floor(row / 4),
      incrementalTotal: 0,
      pauseMsTotal: row,
      floor: row % 4 === 0 ? { atMs: row * ROW_MS, bytes: (40 + noise(row, 3) / 10) * MB } : null,
    },
    loop: { delayP99Ms: 12, delayMaxMs: 30 },
    descriptors: { open: 540, limit: 4096 },
    connections: {
      active: of(connections),
      openedTotal: of(connections + row * 5),
      closedTotal: of(row * 5),
      unanswering: Math.round(noise(row, 4) / 5),
      unaskable: 0,
      retained: 3,
      uncollected: 12,
      sendBufferBytes: noise(row, 5) * 1024,
      slow: 0,
      closeCodes: {},
      messagesSentTotal: row * 100,
      messagesFailedTotal: 0,
      rtt: null,
      maxConnections: null,
    },
    registries: Array.from({ length: SERIES }, (_, i) => ({
      name: `registry ${i}`,
      // Every tenth series grows, and every third follows the connections.
      entries: 400 + noise(row, i) * 3 + (i % 10 === 0 ? row * 4 : 0) + (i % 3 === 0 ? connections : 0),
      source: 'app',
    })),
    queues: [],
    rooms: [],
    emitters: [],
    marks: [],
    blind: [],
  };
}

if (!isMainThread && workerData?.root !== undefined) parentPort.postMessage(measure(workerData.root));
