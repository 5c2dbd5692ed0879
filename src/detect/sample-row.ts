/** `rowOf` and `visitSeries` turn a sample into a row of the window: one number for each column. */

import { RESOURCE_TYPES } from '../types/sample.ts';
import type { RegistryReading, Sample, Source } from '../types/index.ts';

/** Columns that every sample has. */
export type FixedColumn =
  | 'connections'
  /** Open connections that do not reply to pings, without those asleep; missing while only a sample of them is pinged. */
  | 'unresponsive'
  | 'awokenTotal'
  | 'lost'
  | 'lostEndedTotal'
  /** Open connections except the unresponsive ones. */
  | 'responsive'
  | 'openedTotal'
  | 'closedTotal'
  | 'uncollected'
  | 'retained'
  | 'messagesTotal'
  | 'receivedBytesTotal'
  | 'sendBufferBytes'
  | 'slow'
  | 'oldSpaceBytes'
  | 'heapTotalBytes'
  | 'rssBytes'
  | 'containerUsedBytes'
  | 'externalBytes'
  | 'majorGcTotal'
  | 'loopP99Ms'
  | 'descriptors';

/**
 * The counted things of a dynamic series. `sessions`: a registry of connections with the time of their last event. `entries`: a registry in which no connection was seen. `bounded`: one that has a
 * limit or entries that expire. `list`: a queue from whose front nothing is taken. `objects`: rooms that are objects.
 */
export type SeriesType =
  | 'registry'
  | 'sessions'
  | 'entries'
  | 'bounded'
  | 'queue'
  | 'list'
  | 'rooms'
  | 'objects'
  | 'members'
  | 'listeners'
  | ChangeType
  | 'event names'
  | 'resource';

/** `opened`, `added`, `other changes`: the totals of a listener count that the agent follows around opens and closes. */
export type ChangeType = 'opened' | 'added' | 'other changes';

/** The column of a series that the application names. Only `seriesColumn` makes one. */
export type SeriesColumn = `${SeriesType}\0${string}\0${string}`;
export type Column = FixedColumn | SeriesColumn;

/** A count under a name: a registry, a queue, rooms, the listeners of an emitter, or resources of one type. */
export interface Series {
  readonly column: SeriesColumn;
  readonly type: SeriesType;
  readonly name: string;
  /** Only for `listeners`. */
  readonly event: string | null;
  readonly source: Source;
}

/** Series that may be a list of closed connections. A list of ids has no connections. */
export const LIST_TYPES: ReadonlySet<SeriesType> = new Set(['queue', 'list', 'entries', 'bounded']);

export const seriesColumn = (type: SeriesType, name: string, event: string | null): SeriesColumn =>
  `${type}\0${name}\0${event ?? ''}`;

/** The value, or `NaN` for one that is missing, negative, not finite or too large to be a count. */
export const validCount = (value: number | null | undefined): number =>
  typeof value === 'number' && value >= 0 && value <= Number.MAX_SAFE_INTEGER ? value : Number.NaN;

export const zeroIfMissing = (value: number | undefined): number =>
  value === undefined || Number.isNaN(value) ? 0 : value;

const totalOf = (byTransport: Readonly<Record<string, number>>): number => {
  let sum = 0;
  for (const count of Object.values(byTransport)) sum += count;
  return validCount(sum);
};

/** With more silent connections that were not pinged, the number of unresponsive ones is not known. */
const MAX_UNPROBED_SHARE = 0.1;

/** Silent connections without a recent ping, where the agent pings under suspicion only. */
export const unprobedConnections = ({ suspicionProbes }: Sample['connections']): number =>
  suspicionProbes === undefined ? 0 : suspicionProbes.silent - suspicionProbes.probed;

/** Whether the number of unresponsive connections is about all connections, and not about a sample of them. */
export const coversAllConnections = (connections: Sample['connections']): boolean =>
  !(unprobedConnections(connections) > MAX_UNPROBED_SHARE * totalOf(connections.active));

export type FixedRow = Readonly<Record<FixedColumn, number>>;

/** The fixed columns of a sample. */
export function rowOf({ memory, limits, gc, loop, descriptors, connections }: Sample): FixedRow {
  const active = totalOf(connections.active);
  const unresponsive = validCount(connections.unanswering);
  const coversAll = coversAllConnections(connections);
  return {
    connections: active,
    unresponsive: coversAll ? Math.max(0, unresponsive - zeroIfMissing(connections.asleep)) : Number.NaN,
    awokenTotal: validCount(connections.awokenTotal),
    // While more and more of the connections are pinged, more of the lost ones are known.
    lost: coversAll ? validCount(connections.lost) : Number.NaN,
    lostEndedTotal: validCount(connections.lostEndedTotal),
    responsive: Math.max(0, active - zeroIfMissing(unresponsive)),
    openedTotal: totalOf(connections.openedTotal),
    closedTotal: totalOf(connections.closedTotal),
    uncollected: validCount(connections.uncollected),
    retained: validCount(connections.retained),
    messagesTotal: validCount(connections.messagesSentTotal),
    receivedBytesTotal: validCount(connections.receivedBytesTotal),
    sendBufferBytes: validCount(connections.sendBufferBytes),
    slow: validCount(connections.slow),
    oldSpaceBytes: validCount(memory.oldSpaceBytes),
    heapTotalBytes: validCount(memory.heapTotalBytes),
    rssBytes: validCount(memory.rssBytes),
    containerUsedBytes: validCount(limits.containerUsedBytes),
    // `external` misses the memory of some ArrayBuffers, and `arrayBuffers` misses other external memory.
    externalBytes: Math.max(
      zeroIfMissing(validCount(memory.externalBytes)),
      zeroIfMissing(validCount(memory.arrayBuffersBytes)),
    ),
    majorGcTotal: validCount(gc.majorTotal),
    loopP99Ms: validCount(loop?.delayP99Ms),
    descriptors: validCount(descriptors?.open),
  };
}

const registryType = ({ areConnections, hasLastEventTime, isBounded }: RegistryReading): SeriesType => {
  if (areConnections !== false) return hasLastEventTime === true ? 'sessions' : 'registry';
  return isBounded === true ? 'bounded' : 'entries';
};

interface SeriesReading {
  readonly name: string;
  readonly source: Source;
}

/** Receives the value of each series of a sample. */
type SeriesVisitor = (type: SeriesType, reading: SeriesReading, value: number, event: string | null) => void;

export function visitSeries(
  { registries, queues, rooms, emitters, resources }: Sample,
  visit: SeriesVisitor,
): void {
  for (const registry of registries) visit(registryType(registry), registry, registry.entries, null);
  for (const queue of queues) visit(queue.isTaken === false ? 'list' : 'queue', queue, queue.items, null);
  for (const reading of rooms) {
    visit(reading.areObjects === true ? 'objects' : 'rooms', reading, reading.rooms, null);
    visit('members', reading, reading.members, null);
  }
  for (const { emitter: name, source, event, listeners, eventNames, changes } of emitters) {
    visit('listeners', { name, source }, listeners, event);
    if (changes !== undefined) {
      visit('opened', { name, source }, changes.opened, event);
      // The total falls when a reading has removals only.
      visit('added', { name, source }, Math.max(0, changes.added), event);
      visit('other changes', { name, source }, changes.other, event);
    }
    if (eventNames !== null) visit('event names', { name, source }, eventNames, null);
  }
  if (resources === undefined) return;
  for (const name of RESOURCE_TYPES) {
    const count = resources[name];
    if (count !== undefined) visit('resource', { name, source: 'found' }, count, null);
  }
}

/** Scales the times of a sample. With a scale of 60 a second counts as a minute. */
export function inScaledTime(sample: Sample, timeScale: number): Sample {
  if (timeScale === 1) return sample;
  const { gc } = sample;
  return {
    ...sample,
    atMs: sample.atMs * timeScale,
    uptimeMs: sample.uptimeMs * timeScale,
    gc: gc.floor === null ? gc : { ...gc, floor: { ...gc.floor, atMs: gc.floor.atMs * timeScale } },
  };
}
