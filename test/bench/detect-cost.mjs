// Measures one evaluation at 120 rows and 200 series. All series are noisy, and some of them grow.
import { createRequire } from 'node:module';
import { join } from 'node:path';

const ROUNDS = 400;
/** After this many more evaluations V8 has compiled the functions that run often: a watcher needs 13 hours for them. */
const WARM_UP_ROUNDS = 1600;
const SERIES = 200;
const ROW_MS = 30_000;

export function costOfEvaluation(root) {
  const require = createRequire(import.meta.url);
  const { createDetection } = require(join(root, 'dist', 'detection.js'));
  const identity = { service: 's', instance: 'i', host: 'h', pid: 1, worker: null };
  const detection = createDetection({
    identity,
    config: { timeScale: 1, mute: [], maxConnections: null },
    newId: () => 'id',
  });
  const wallMs = [];
  // CPU time counts also the threads that compile and collect; other programs on the machine do not change it.
  const cpuMs = [];
  for (let row = 0; row < 120 + ROUNDS + WARM_UP_ROUNDS; row += 1) {
    const sample = sampleAt(row);
    const cpu = process.cpuUsage();
    const started = performance.now();
    detection.addSample(sample);
    if (row < 120) continue;
    wallMs.push(performance.now() - started);
    const { user, system } = process.cpuUsage(cpu);
    cpuMs.push((user + system) / 1000);
  }
  const first = cpuMs.slice(0, ROUNDS);
  const later = cpuMs.slice(-ROUNDS);
  return {
    series: SERIES,
    rows: 120,
    medianMs: atShare(wallMs.slice(0, ROUNDS), 0.5),
    p99Ms: atShare(wallMs.slice(0, ROUNDS), 0.99),
    cpuMedianMs: atShare(first, 0.5),
    cpuP99Ms: atShare(first, 0.99),
    cpuMeanMs: mean(first),
    later: { cpuMedianMs: atShare(later, 0.5), cpuP99Ms: atShare(later, 0.99), cpuMeanMs: mean(later) },
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
