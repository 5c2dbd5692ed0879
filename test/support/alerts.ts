import type { Alert, ReportPoint } from '../../src/types/index.ts';

/** An opened alert for zombie connections. Tests override the fields that they are about. */
export const alertOf = (more: Partial<Alert> = {}): Alert => ({
  schema: 'wsguard.alert/1',
  event: 'opened',
  id: 'a1b2c3',
  fingerprint: 'f00dfeed',
  kind: 'zombie-connections',
  family: 'leak',
  severity: 'warning',
  at: '2026-11-22T02:00:00.000Z',
  service: 'chat-server',
  serviceVersion: '3.1.4',
  instance: 'chat-7f9c',
  host: 'web-3',
  pid: 4711,
  worker: null,
  agentVersion: '0.1.0',
  nodeVersion: '20.20.2',
  uptimeMs: 6 * 3_600_000,
  subject: 'websocket',
  title: '1,912 of 2,410 connections do not reply to pings',
  evidence: [
    {
      name: 'wsguard_connections_unanswering',
      value: 1912,
      unit: 'connections',
      threshold: 20,
      windowMs: 900_000,
    },
  ],
  against: [{ kind: 'heap-growth', because: 'post-GC floor grew 3 MB in the window' }],
  also: [],
  culprit: {
    text: '`clients` in server.js:41 keeps every connection',
    name: 'clients',
    file: 'server.js',
    line: 41,
    function: 'onConnection',
    package: null,
    confidence: 0.9,
  },
  timeToLimit: { ms: 2_520_000, lowMs: 1_800_000, highMs: 3_900_000, limit: 'heap' },
  advice: 'Ping each connection and terminate the ones that do not answer.',
  docs: 'docs/leaks/zombie-connections.md',
  snapshots: [],
  report: null,
  n: 0,
  ...more,
});

/** A row of a report's samples. */
export const reportPoint = (more: Partial<ReportPoint> = {}): ReportPoint => ({
  wallMs: 1,
  heapUsedBytes: 1,
  floorBytes: null,
  rssBytes: 1,
  externalBytes: 1,
  connections: 1,
  unanswering: 0,
  ...more,
});
