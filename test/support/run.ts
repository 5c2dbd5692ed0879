import { createDetection, type DetectionDeps, type DetectionResult } from '../../src/detection.ts';
import type { Alert, Identity, RegistryReading, Sample } from '../../src/types/index.ts';
import { byTransport, sampleOf } from './samples.ts';

export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
export const MB = 1024 * 1024;

export const IDENTITY: Identity = {
  service: 'chat',
  serviceVersion: '1.0.0',
  instance: 'chat-1',
  host: 'web',
  pid: 1,
  worker: null,
  agentVersion: '0.0.0',
  nodeVersion: 'v20.20.2',
};

export const createTestDetection = (config: Partial<DetectionDeps['config']> = {}) => {
  let ids = 0;
  return createDetection({
    identity: IDENTITY,
    config: { timeScale: 1, mute: [], maxConnections: null, ...config },
    newId: () => `id-${(ids += 1)}`,
  });
};

/** The state of a simulated server at one minute. Every field is optional. */
export interface Shape {
  readonly connections?: number;
  readonly closed?: number;
  readonly opened?: number;
  readonly unanswering?: number;
  readonly retained?: number | null;
  readonly uncollected?: number;
  readonly sendBuffer?: number;
  readonly floorMb?: number;
  readonly oldMb?: number;
  readonly rssMb?: number;
  readonly heapTotalMb?: number;
  readonly externalMb?: number;
  readonly containerMb?: number | null;
  readonly capacityMb?: number;
  readonly p99?: number;
  readonly majors?: number;
  readonly more?: Partial<Sample>;
}

export function sampleAt(seq: number, atMs: number, shape: Shape): Sample {
  const base = sampleOf();
  const connections = shape.connections ?? 500;
  const minutes = atMs / MINUTE;
  const closed = shape.closed ?? Math.floor(minutes * 10);
  const capacityMb = shape.capacityMb ?? 512;
  return sampleOf({
    seq,
    atMs,
    uptimeMs: atMs,
    wallMs: base.wallMs + atMs,
    memory: {
      ...base.memory,
      heapLimitBytes: (capacityMb + 48) * MB,
      oldSpaceBytes: (shape.oldMb ?? shape.floorMb ?? 45) * MB,
      heapTotalBytes: (shape.heapTotalMb ?? 70) * MB,
      rssBytes: (shape.rssMb ?? 110) * MB,
      externalBytes: (shape.externalMb ?? 3) * MB,
    },
    limits: {
      ...base.limits,
      heapCapacityBytes: capacityMb * MB,
      containerBytes: shape.containerMb == null ? null : shape.containerMb * MB,
    },
    gc: {
      ...base.gc,
      majorTotal: shape.majors ?? 0,
      floor: shape.floorMb === undefined ? null : { atMs, bytes: shape.floorMb * MB },
    },
    loop: { delayP99Ms: shape.p99 ?? 12, delayMaxMs: 30 },
    connections: {
      ...base.connections,
      active: byTransport(connections),
      closedTotal: byTransport(closed),
      openedTotal: byTransport(shape.opened ?? connections + closed),
      unanswering: shape.unanswering ?? 0,
      retained: shape.retained ?? null,
      uncollected: shape.uncollected ?? 0,
      sendBufferBytes: shape.sendBuffer ?? 0,
    },
    ...shape.more,
  });
}

export interface Run {
  readonly transitions: readonly (Alert & { readonly minute: number })[];
  readonly last: DetectionResult;
  readonly opened: readonly string[];
}

/** Feeds `minutes` of samples to a detection, one every `everyMs`. `shape` gets the minute. */
export function run(
  minutes: number,
  shape: (minute: number) => Shape,
  { detection = createTestDetection(), everyMs = 15_000, fromMinute = 0 } = {},
): Run {
  const transitions: (Alert & { minute: number })[] = [];
  let last: DetectionResult | undefined;
  let seq = 0;
  for (let atMs = fromMinute * MINUTE; atMs <= (fromMinute + minutes) * MINUTE; atMs += everyMs) {
    const minute = atMs / MINUTE;
    last = detection.addSample(sampleAt((seq += 1), atMs, shape(minute)));
    transitions.push(...last.transitions.map((alert) => ({ ...alert, minute })));
  }
  if (last === undefined) throw new Error('a run has at least one sample');
  return {
    transitions,
    last,
    opened: transitions.filter(({ event }) => event === 'opened').map(({ kind }) => kind),
  };
}

interface RetainedConnections {
  readonly closed: number;
  readonly retained: number;
  readonly registry: RegistryReading;
}

/**
 * The shape of a hundred connections, of which some are replaced each minute. Of the closed ones `retained` stay in memory;
 * a major GC every three minutes shows it.
 */
export const retainingShape = (
  minute: number,
  { closed, retained, registry }: RetainedConnections,
): Shape => ({
  connections: 100,
  opened: 100 + closed,
  closed,
  majors: Math.floor(minute / 3),
  ...(minute % 3 === 0 ? { floorMb: 40 } : {}),
  retained,
  uncollected: retained,
  more: { registries: [registry] },
});

export const answerOf = ({ last }: Run, detector: string) =>
  last.verdicts.find((verdict) => verdict.detector === detector);
/** Adds a major GC every `minutes` minutes. */
export const gcEvery =
  (minutes: number, floorMb: (minute: number) => number, more: (minute: number) => Shape = () => ({})) =>
  (minute: number): Shape => ({
    ...more(minute),
    ...(minute > 0 && minute % minutes === 0 ? { floorMb: floorMb(minute) } : {}),
  });
export const upTo = (limit: number, perMinute: number) => (minute: number) =>
  Math.min(limit, perMinute * minute);
