// Measures one evaluation at 120 rows and 200 series. All series are noisy, and some of them grow.
import { createRequire } from 'node:module';
import { join } from 'node:path';

const ROUNDS = 400;
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
  const cpuBefore = process.cpuUsage();
  let cpu = cpuBefore;
  for (let row = 0; row < 120 + ROUNDS; row += 1) {
    const sample = sampleAt(row);
    if (row === 120) cpu = process.cpuUsage();
    const started = performance.now();
    detection.addSample(sample);
    if (row >= 120) wallMs.push(performance.now() - started);
  }
  const { user, system } = process.cpuUsage(cpu);
  const sorted = wallMs.toSorted((a, b) => a - b);
  return {
    series: SERIES,
    rows: 120,
    medianMs: Number(sorted[Math.floor(ROUNDS / 2)].toFixed(3)),
    p99Ms: Number(sorted[Math.floor(ROUNDS * 0.99)].toFixed(3)),
    cpuMeanMs: Number(((user + system) / 1000 / ROUNDS).toFixed(3)),
  };
}

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
