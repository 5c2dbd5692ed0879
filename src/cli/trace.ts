/** Recorded samples as `Sample`s: a CSV trace (columns of fixtures/traces/README.md) or lines of JSON samples. */

import type { ByTransport, Floor, Sample } from '../types/index.ts';

/** heap_size_limit holds three semi-spaces beside old space; 16 MiB each unless the trace says otherwise. */
const SEMI_SPACES_BYTES = 48 * 1024 ** 2;

export interface TraceOptions {
  /** `preload` hides what only the application could have registered. */
  readonly signals: 'all' | 'preload';
  readonly memoryLimitBytes: number | null;
}

type Cells = (column: string) => number;

export function createTraceReader(header: string, options: TraceOptions): (line: string) => Sample | null {
  const columns = new Map(header.split(',').map((name, i) => [name.trim(), i]));
  let seq = 0;

  return (line) => {
    const cells = line.split(',');
    const cell: Cells = (column) => {
      const text = cells[columns.get(column) ?? -1]?.trim() ?? '';
      return text === '' ? Number.NaN : Number(text);
    };
    const atMs = cell('t');
    if (!Number.isFinite(atMs)) return null;
    seq += 1;
    return sampleOf(cell, { seq, atMs }, options);
  };
}

const nullable = (value: number): number | null => (Number.isFinite(value) ? value : null);
const onlyWebsocket = (count: number): ByTransport => ({ websocket: count, sse: 0, polling: 0, upgraded: 0 });

function floorOf(cell: Cells, atMs: number): Floor | null {
  for (const column of ['pmXold', 'pmX', 'pmPO']) {
    const bytes = cell(column);
    if (bytes > 0) return { atMs, bytes };
  }
  return null;
}

interface Place {
  readonly seq: number;
  readonly atMs: number;
}

function sampleOf(cell: Cells, { seq, atMs }: Place, options: TraceOptions): Sample {
  const limit = cell('limit');
  const capacity = cell('capacity');
  const clients = cell('clients');
  const hasLoop = Number.isFinite(cell('p99'));
  return {
    seq,
    atMs,
    wallMs: atMs,
    uptimeMs: atMs,
    memory: {
      heapUsedBytes: cell('hu'),
      heapTotalBytes: cell('ht'),
      heapLimitBytes: limit,
      oldSpaceBytes: cell('olds'),
      rssBytes: cell('rss'),
      externalBytes: cell('ext'),
      arrayBuffersBytes: cell('ab'),
      mallocedBytes: cell('malloced'),
      peakMallocedBytes: cell('malloced'),
    },
    limits: {
      heapCapacityBytes: capacity > 0 ? capacity : limit - SEMI_SPACES_BYTES,
      containerBytes: options.memoryLimitBytes,
      containerUsedBytes: null,
      containerOomKills: null,
    },
    gc: {
      minorTotal: cell('nMin'),
      majorTotal: cell('nMaj'),
      incrementalTotal: cell('nInc'),
      pauseMsTotal: cell('dMin') + cell('dMaj') + cell('dInc'),
      floor: floorOf(cell, atMs),
    },
    loop: hasLoop ? { delayP99Ms: cell('p99'), delayMaxMs: cell('p99') } : null,
    descriptors: null,
    connections: {
      active: onlyWebsocket(Number.isFinite(clients) ? clients : cell('active')),
      openedTotal: onlyWebsocket(cell('opened')),
      closedTotal: onlyWebsocket(cell('closed')),
      unanswering: cell('unresp'),
      unaskable: 0,
      retained: null,
      uncollected: cell('cnc'),
      sendBufferBytes: cell('buffered'),
      slow: cell('nslow'),
      closeCodes: {},
      messagesSentTotal: cell('tx'),
      messagesFailedTotal: 0,
      rtt: null,
      maxConnections: null,
    },
    ...countedOf(cell, options.signals),
    marks: [],
    blind: [],
  };
}

function countedOf(
  cell: Cells,
  signals: TraceOptions['signals'],
): Pick<Sample, 'registries' | 'queues' | 'rooms' | 'emitters'> {
  const entries = cell('map');
  const items = cell('queue');
  const rooms = cell('rooms');
  const listeners = nullable(cell('listeners'));
  const all = signals === 'all';
  return {
    registries: all && Number.isFinite(entries) ? [{ name: 'map', entries, source: 'app' }] : [],
    queues: all && Number.isFinite(items) ? [{ name: 'queue', items, oldestAgeMs: null, source: 'app' }] : [],
    rooms:
      all && Number.isFinite(rooms)
        ? [{ name: 'rooms', rooms, members: cell('members'), source: 'app' }]
        : [],
    emitters:
      listeners === null
        ? []
        : [{ emitter: 'emitter', event: '*', listeners, eventNames: null, source: 'found' }],
  };
}

/** Samples as the agent writes them (black box), one JSON object a line; hidden by the same rule. */
export function readSampleLine(line: string, options: TraceOptions): Sample | null {
  let parsed: unknown;
  try {
    parsed = JSON.parse(line);
  } catch {
    return null;
  }
  const sample = (parsed as { sample?: Sample }).sample ?? (parsed as Sample);
  if (typeof sample?.atMs !== 'number' || sample.memory === undefined) return null;
  const found = <T extends { source: string }>(list: readonly T[]): T[] =>
    list.filter(({ source }) => options.signals === 'all' || source === 'found');
  const { registries, queues, rooms, emitters, limits } = sample;
  return {
    ...sample,
    limits: { ...limits, containerBytes: options.memoryLimitBytes ?? limits.containerBytes },
    registries: found(registries),
    queues: found(queues),
    rooms: found(rooms),
    emitters: found(emitters),
  };
}
