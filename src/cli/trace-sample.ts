/**
 * Converts recorded samples into `Sample`s: rows of a CSV trace (its columns are in fixtures/traces/README.md) and JSON
 * samples as the black box writes them. Pure.
 */
import { UNKNOWN_SAMPLE, type ByTransport, type PostGcHeap, type Sample } from '../types/sample.ts';

/** V8's default: three semi-spaces of 16 MiB, which heap_size_limit counts beside old space. */
export const DEFAULT_SEMI_SPACES_BYTES = 48 * 1024 ** 2;

export interface TraceOptions {
  /** `preload` hides collections that only the application can have registered. */
  readonly signals: 'all' | 'preload';
  /** Replaces the container limit of the recording. */
  readonly memoryLimitBytes: number | null;
}

/** The number in a column; NaN when the cell is empty or the column is missing. */
type ReadCell = (column: string) => number;

export function createTraceReader(header: string, options: TraceOptions): (line: string) => Sample | null {
  const columns = new Map(header.split(',').map((name, i) => [name.trim(), i]));
  let seq = 0;

  return (line) => {
    const cells = line.split(',');
    const cell: ReadCell = (column) => {
      const text = cells[columns.get(column) ?? -1]?.trim() ?? '';
      return text === '' ? Number.NaN : Number(text);
    };
    const atMs = cell('t');
    if (!Number.isFinite(atMs)) return null;
    seq += 1;
    return sampleFrom(cell, { seq, atMs }, options);
  };
}

export const nullIfNaN = (value: number): number | null => (Number.isFinite(value) ? value : null);
const asWebSockets = (count: number): ByTransport => ({ websocket: count, sse: 0, polling: 0, upgraded: 0 });

function sampleFrom(
  cell: ReadCell,
  { seq, atMs }: Pick<Sample, 'seq' | 'atMs'>,
  options: TraceOptions,
): Sample {
  const clients = cell('clients');
  const hasLoopDelay = Number.isFinite(cell('p99'));
  return {
    ...UNKNOWN_SAMPLE,
    seq,
    atMs,
    wallMs: atMs,
    uptimeMs: atMs,
    ...memoryFrom(cell, options),
    gc: {
      ...UNKNOWN_SAMPLE.gc,
      minorTotal: cell('nMin'),
      majorTotal: cell('nMaj'),
      incrementalTotal: cell('nInc'),
      pauseMsTotal: cell('dMin') + cell('dMaj') + cell('dInc'),
      floor: postGcHeapFrom(cell, atMs),
    },
    loop: hasLoopDelay ? { delayP99Ms: cell('p99'), delayMaxMs: cell('p99') } : null,
    connections: {
      ...UNKNOWN_SAMPLE.connections,
      active: asWebSockets(Number.isFinite(clients) ? clients : cell('active')),
      openedTotal: asWebSockets(cell('opened')),
      closedTotal: asWebSockets(cell('closed')),
      unanswering: cell('unresp'),
      unaskable: 0,
      uncollected: cell('cnc'),
      sendBufferBytes: cell('buffered'),
      slow: cell('nslow'),
      messagesSentTotal: cell('tx'),
      messagesFailedTotal: 0,
    },
    ...collectionsFrom(cell, options.signals),
  };
}

function memoryFrom(cell: ReadCell, { memoryLimitBytes }: TraceOptions): Pick<Sample, 'memory' | 'limits'> {
  const limit = cell('limit');
  const capacity = cell('capacity');
  return {
    memory: {
      ...UNKNOWN_SAMPLE.memory,
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
      ...UNKNOWN_SAMPLE.limits,
      heapCapacityBytes: capacity > 0 ? capacity : limit - DEFAULT_SEMI_SPACES_BYTES,
      containerBytes: memoryLimitBytes,
    },
  };
}

/** From the most exact column that the trace has. */
function postGcHeapFrom(cell: ReadCell, atMs: number): PostGcHeap | null {
  for (const column of ['pmXold', 'pmX', 'pmPO']) {
    const bytes = cell(column);
    if (bytes > 0) return { atMs, bytes };
  }
  return null;
}

type Collections = Pick<Sample, 'registries' | 'queues' | 'rooms' | 'emitters'>;

function collectionsFrom(cell: ReadCell, signals: TraceOptions['signals']): Collections {
  const entries = cell('map');
  const items = cell('queue');
  const rooms = cell('rooms');
  const listeners = nullIfNaN(cell('listeners'));
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

/** Reads one JSON sample, also from a line `{"sample": {...}}`. Returns `null` for a line without one. */
export function readSampleLine(line: string, options: TraceOptions): Sample | null {
  let parsed: unknown;
  try {
    parsed = JSON.parse(line);
  } catch {
    return null;
  }
  const sample = (parsed as { sample?: Sample } | null)?.sample ?? (parsed as Sample | null);
  if (typeof sample?.atMs !== 'number' || sample.memory === undefined) return null;
  const visible = <T extends { source: string }>(list: readonly T[]): T[] =>
    list.filter(({ source }) => options.signals === 'all' || source === 'found');
  const { registries, queues, rooms, emitters, limits } = sample;
  return {
    ...sample,
    limits: { ...limits, containerBytes: options.memoryLimitBytes ?? limits.containerBytes },
    registries: visible(registries),
    queues: visible(queues),
    rooms: visible(rooms),
    emitters: visible(emitters),
  };
}
