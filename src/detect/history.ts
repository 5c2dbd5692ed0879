/** What the detectors look at: the samples of the last hour or so, in scaled time. Told the time by the samples. */

import type { Sample, SampleMark, Source } from '../types/index.ts';
import { Window } from './window.ts';

export const MINUTE_MS = 60_000;
export const HOUR_MS = 60 * MINUTE_MS;
/** One row at most each half minute: more samples than that add cost and no knowledge. */
const TICK_MS = 30_000;
const ROWS = 128;
const MAX_SERIES = 240;
const MAX_FLOORS = 200;
/** Near the limit majors come in bursts of dozens a minute; one floor stands for a burst. */
const FLOOR_SPACING_MS = 54_000;
/** Finalisers run in a task after the collection, so the count of survivors is read this much later. */
const FINALISERS_MS = 30_000;
/** No samples for so long: what was counted before says nothing of now. */
const GAP_MS = 10 * MINUTE_MS;
const GAP_SPACINGS = 10;
const COARSE_MS = 5 * MINUTE_MS;
const COARSE_ROWS = 100;

export interface CountedSeries {
  readonly key: string;
  readonly what:
    'registry' | 'queue' | 'list' | 'rooms' | 'objects' | 'members' | 'listeners' | 'event names';
  readonly name: string;
  readonly event: string | null;
  readonly source: Source;
}

export interface FloorPoint {
  readonly atMs: number;
  readonly bytes: number;
  readonly answering: number;
  /** Connections times ms, from the first sample on: what each open connection could have left behind meanwhile. */
  readonly exposure: number;
  readonly closedTotal: number;
  readonly externalBytes: number;
  /** RSS beyond heap and Buffers. */
  readonly restBytes: number;
  /** Closed connections that outlived this collection (two, where that is known); null until finalisers have run. */
  survivors: number | null;
  /** How many had closed early enough to be among them. */
  closedBefore: number;
}

/** One point each five minutes, for what takes hours to tell. */
export interface CoarsePoint {
  readonly atMs: number;
  readonly answering: number;
  readonly openedTotal: number;
  readonly closedTotal: number;
}

export class History {
  readonly window = new Window(ROWS, MAX_SERIES);
  readonly counted = new Map<string, CountedSeries>();
  floors: FloorPoint[] = [];
  coarse: CoarsePoint[] = [];
  nowMs = 0;
  /** Start of the counts: the first sample, or the first after a gap. */
  startedMs = 0;
  /** An own snapshot leaves the process larger (35-45 MB measured): RSS is judged from here on. */
  rebasedMs = 0;
  last: Sample | null = null;
  #tick = Number.NEGATIVE_INFINITY;
  #loopP99Ms = Number.NaN;
  #exposure = 0;
  #pausedUntilMs = 0;

  /** Takes a sample whose times are already scaled. True when a new row makes an evaluation worth while. */
  add(sample: Sample): boolean {
    if (!Number.isFinite(sample.atMs)) return false;
    const last = this.last;
    if (last === null || isRestart(last, sample)) this.#restart(sample.atMs);
    else if (sample.atMs - last.atMs > this.#gapMs() || sample.marks.includes('clock-jump'))
      this.#resume(sample.atMs);
    const row = rowOf(sample);
    this.#exposure += nan0(row.get('answering')) * Math.max(0, sample.atMs - (last?.atMs ?? sample.atMs));
    this.last = sample;
    this.nowMs = sample.atMs;
    this.#note(sample.marks);
    this.#takeFloor(sample, row);
    this.#loopP99Ms = Math.max(nan0(this.#loopP99Ms), nan0(row.get('loopP99Ms')));
    const tick = Math.floor(sample.atMs / TICK_MS);
    if (tick <= this.#tick) return false;
    this.#tick = tick;
    if (sample.loop !== null) row.set('loopP99Ms', this.#loopP99Ms);
    this.#loopP99Ms = Number.NaN;
    // While a snapshot stops the loop nobody can answer a ping.
    if (sample.atMs < this.#pausedUntilMs) row.delete('unanswering');
    this.#count(sample, row);
    this.window.push(sample.atMs, row);
    this.#settleFloors(row);
    this.#takeCoarse(row);
    return true;
  }

  #restart(atMs: number): void {
    this.#resume(atMs);
    this.floors = [];
    this.coarse = [];
    this.rebasedMs = atMs;
  }

  #resume(atMs: number): void {
    this.window.clear();
    this.counted.clear();
    this.startedMs = atMs;
    this.#tick = Number.NEGATIVE_INFINITY;
  }

  #gapMs(): number {
    const times = this.window.times();
    const spacing = times.length < 2 ? 0 : ((times.at(-1) ?? 0) - (times[0] ?? 0)) / (times.length - 1);
    return Math.max(GAP_MS, GAP_SPACINGS * spacing);
  }

  #note(marks: readonly SampleMark[]): void {
    if (!marks.includes('snapshot')) return;
    this.rebasedMs = this.nowMs;
    this.#pausedUntilMs = this.nowMs + MINUTE_MS;
  }

  #takeFloor(sample: Sample, row: ReadonlyMap<string, number>): void {
    const floor = sample.gc.floor;
    const bytes = clean(floor?.bytes);
    if (floor === null || !(bytes > 0) || !Number.isFinite(floor.atMs)) return;
    const point = {
      atMs: floor.atMs,
      bytes,
      answering: row.get('answering') ?? Number.NaN,
      exposure: this.#exposure,
      closedTotal: row.get('closedTotal') ?? Number.NaN,
      externalBytes: row.get('externalBytes') ?? Number.NaN,
      restBytes: restOf(row),
      survivors: null,
      closedBefore: Number.NaN,
    };
    const before = this.floors.at(-2);
    if (this.floors.length > 1 && before !== undefined && floor.atMs - before.atMs < FLOOR_SPACING_MS)
      this.floors.pop();
    this.floors.push(point);
    if (this.floors.length > MAX_FLOORS) this.floors.shift();
  }

  #settleFloors(row: ReadonlyMap<string, number>): void {
    for (const floor of this.floors.slice(-4)) {
      if (floor.survivors !== null || this.nowMs - floor.atMs < FINALISERS_MS) continue;
      const since = Math.max(0, nan0(row.get('closedTotal')) - nan0(floor.closedTotal));
      const outlived = Math.max(0, (row.get('uncollected') ?? Number.NaN) - since);
      const retained = row.get('retained') ?? Number.NaN;
      floor.survivors = Number.isNaN(retained) ? outlived : retained;
      // Known to have outlived two collections: closed before the one before this.
      const before = this.floors[this.floors.indexOf(floor) - 1];
      floor.closedBefore = Number.isNaN(retained) ? floor.closedTotal : nan0(before?.closedTotal);
    }
  }

  #takeCoarse(row: ReadonlyMap<string, number>): void {
    const last = this.coarse.at(-1);
    if (last !== undefined && this.nowMs - last.atMs < COARSE_MS) return;
    this.coarse.push({
      atMs: this.nowMs,
      answering: row.get('answering') ?? Number.NaN,
      openedTotal: row.get('openedTotal') ?? Number.NaN,
      closedTotal: row.get('closedTotal') ?? Number.NaN,
    });
    if (this.coarse.length > COARSE_ROWS) this.coarse.shift();
  }

  #count(sample: Sample, row: Map<string, number>): void {
    type Reading = Pick<CountedSeries, 'name' | 'source'>;
    const add = (what: CountedSeries['what'], of: Reading, value: number, event: string | null = null) => {
      const key = `${what}\0${of.name}\0${event ?? ''}`;
      row.set(key, clean(value));
      if (!this.counted.has(key) && this.counted.size < MAX_SERIES)
        this.counted.set(key, { key, what, name: of.name, event, source: of.source });
    };
    for (const registry of sample.registries) add('registry', registry, registry.entries);
    for (const queue of sample.queues) add(queue.isTaken === false ? 'list' : 'queue', queue, queue.items);
    for (const rooms of sample.rooms) {
      add(rooms.areObjects === true ? 'objects' : 'rooms', rooms, rooms.rooms);
      add('members', rooms, rooms.members);
    }
    for (const { emitter: name, event, listeners, eventNames, source } of sample.emitters) {
      add('listeners', { name, source }, listeners, event);
      if (eventNames !== null) add('event names', { name, source }, eventNames);
    }
  }
}

/** Scaled time begins here, once: with 60 a second counts as a minute. */
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

/** Not finite, negative or beyond counting is as good as missing. */
const clean = (value: number | null | undefined): number =>
  typeof value === 'number' && value >= 0 && value <= Number.MAX_SAFE_INTEGER ? value : Number.NaN;
const nan0 = (value: number | undefined): number => (value === undefined || Number.isNaN(value) ? 0 : value);

const restOf = (row: ReadonlyMap<string, number>): number =>
  (row.get('rssBytes') ?? Number.NaN) - nan0(row.get('heapTotalBytes')) - nan0(row.get('externalBytes'));

const isRestart = (last: Sample, next: Sample): boolean =>
  next.atMs < last.atMs || next.uptimeMs < last.uptimeMs - MINUTE_MS;

const total = (byTransport: Readonly<Record<string, number>>): number => {
  let sum = 0;
  for (const count of Object.values(byTransport)) sum += count;
  return clean(sum);
};

function rowOf({ memory, limits, gc, loop, descriptors, connections }: Sample): Map<string, number> {
  const active = total(connections.active);
  const unanswering = clean(connections.unanswering);
  return new Map([
    ['connections', active],
    ['unanswering', unanswering],
    ['answering', Math.max(0, active - nan0(unanswering))],
    ['openedTotal', total(connections.openedTotal)],
    ['closedTotal', total(connections.closedTotal)],
    ['uncollected', clean(connections.uncollected)],
    ['retained', clean(connections.retained)],
    ['sendBufferBytes', clean(connections.sendBufferBytes)],
    ['slow', clean(connections.slow)],
    ['oldSpaceBytes', clean(memory.oldSpaceBytes)],
    ['heapTotalBytes', clean(memory.heapTotalBytes)],
    ['rssBytes', clean(memory.rssBytes)],
    ['containerUsedBytes', clean(limits.containerUsedBytes)],
    ['externalBytes', Math.max(nan0(clean(memory.externalBytes)), nan0(clean(memory.arrayBuffersBytes)))],
    ['majorTotal', clean(gc.majorTotal)],
    ['loopP99Ms', clean(loop?.delayP99Ms)],
    ['descriptors', clean(descriptors?.open)],
  ]);
}
