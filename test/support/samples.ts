import type { ByTransport, Sample } from '../../src/types/index.ts';

export const byTransport = (websocket = 0, more: Partial<ByTransport> = {}): ByTransport => ({
  websocket,
  sse: 0,
  polling: 0,
  upgraded: 0,
  ...more,
});

const MB = 1024 * 1024;

/** A quiet server with 500 WebSocket connections. Tests override the fields that they are about. */
export const sampleOf = (more: Partial<Sample> = {}): Sample => ({
  seq: 1,
  atMs: 60_000,
  wallMs: Date.UTC(2026, 10, 22, 2),
  uptimeMs: 60_000,
  memory: {
    heapUsedBytes: 50 * MB,
    heapTotalBytes: 70 * MB,
    heapLimitBytes: 2096 * MB,
    oldSpaceBytes: 45 * MB,
    rssBytes: 100 * MB,
    externalBytes: 3 * MB,
    arrayBuffersBytes: 1 * MB,
    mallocedBytes: 1 * MB,
    peakMallocedBytes: 2 * MB,
  },
  limits: {
    heapCapacityBytes: 2048 * MB,
    containerBytes: null,
    containerUsedBytes: null,
    containerOomKills: null,
  },
  gc: { minorTotal: 90, majorTotal: 4, incrementalTotal: 4, pauseMsTotal: 80, floor: null },
  loop: { delayP99Ms: 12, delayMaxMs: 30 },
  descriptors: { open: 540, limit: 1024 },
  connections: {
    active: byTransport(500),
    openedTotal: byTransport(620),
    closedTotal: byTransport(120),
    unanswering: 0,
    unaskable: 0,
    retained: null,
    uncollected: 0,
    sendBufferBytes: 0,
    slow: 0,
    closeCodes: {},
    messagesSentTotal: 0,
    messagesFailedTotal: 0,
    rtt: null,
    maxConnections: null,
  },
  registries: [],
  queues: [],
  rooms: [],
  emitters: [],
  marks: [],
  blind: [],
  ...more,
});
