import { UNKNOWN_SAMPLE, type ByTransport, type Sample } from '../../src/types/sample.ts';

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
  ...UNKNOWN_SAMPLE,
  seq: 1,
  atMs: 60_000,
  wallMs: Date.UTC(2026, 10, 22, 2),
  uptimeMs: 60_000,
  memory: {
    ...UNKNOWN_SAMPLE.memory,
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
    ...UNKNOWN_SAMPLE.limits,
    heapCapacityBytes: 2048 * MB,
  },
  gc: { ...UNKNOWN_SAMPLE.gc, minorTotal: 90, majorTotal: 4, incrementalTotal: 4, pauseMsTotal: 80 },
  loop: { delayP99Ms: 12, delayMaxMs: 30 },
  descriptors: { open: 540, limit: 1024 },
  connections: {
    ...UNKNOWN_SAMPLE.connections,
    active: byTransport(500),
    openedTotal: byTransport(620),
    closedTotal: byTransport(120),
    unanswering: 0,
    unaskable: 0,
    uncollected: 0,
    sendBufferBytes: 0,
    slow: 0,
    messagesSentTotal: 0,
    messagesFailedTotal: 0,
  },
  ...more,
});
