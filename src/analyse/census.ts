import type { ClassRow } from '../types.ts';
import { NODE, sizeOf } from './heap.ts';
import type { Heap } from './heap.ts';

export interface Tally {
  objects: number;
  bytes: number;
}
/** Objects by class, native parts and roots by name, everything else by its type. */
export type Census = ReadonlyMap<string, Tally>;

const MOST_ROWS = 30;
const TYPE_NAMES = Object.keys(NODE);
/** Their number and size say what the engine is doing, not what the program keeps. */
const OF_ENGINE = new Set(['(code)', '(hidden)', '(object shape)', '(synthetic)', '(other)']);

export function takeCensus(heap: Heap): Census {
  const named = new Map<number, Tally>();
  const byType = TYPE_NAMES.map((): Tally => ({ objects: 0, bytes: 0 }));
  const { nodeType, nodeName } = heap;
  for (let node = 0; node < heap.nodeCount; node++) {
    const type = nodeType[node]!;
    let tally = byType[type]!;
    if (type === NODE.object || type === NODE.native || type === NODE.synthetic) {
      const key = nodeName[node]! * TYPE_NAMES.length + type;
      tally = named.get(key) ?? { objects: 0, bytes: 0 };
      if (tally.objects === 0) named.set(key, tally);
    }
    tally.objects++;
    tally.bytes += sizeOf(heap, node);
  }
  const census = new Map<string, Tally>();
  for (const [key, tally] of named) {
    const type = key % TYPE_NAMES.length;
    const text = heap.names.text(Math.floor(key / TYPE_NAMES.length));
    const name = type === NODE.object ? text : `${NATIVE}${text}`;
    const sum = census.get(name);
    if (sum === undefined) census.set(name, { ...tally });
    else {
      sum.objects += tally.objects;
      sum.bytes += tally.bytes;
    }
  }
  byType.forEach((tally, type) => tally.objects > 0 && census.set(`(${TYPE_NAMES[type]})`, tally));
  return census;
}

const NATIVE = 'native ';

/** The classes that changed most, or, with one snapshot, that weigh most. */
export function classRows(now: Census, earlier: Census | null): ClassRow[] {
  return rows(now, earlier)
    .filter(({ name }) => !OF_ENGINE.has(name) && !name.startsWith(NATIVE))
    .slice(0, MOST_ROWS);
}

const LEAST_EXTERNAL_BYTES = 64 << 10;

/** What lies outside the JavaScript heap and is known to the snapshot: ArrayBuffers, TLS, zlib, handles. */
export function externalRows(now: Census, earlier: Census | null): ClassRow[] {
  return rows(now, earlier)
    .filter(({ name, bytes }) => name.startsWith(NATIVE) && bytes >= LEAST_EXTERNAL_BYTES)
    .map((row) => ({ ...row, name: row.name.slice(NATIVE.length) }))
    .slice(0, MOST_ROWS);
}

function rows(now: Census, earlier: Census | null): ClassRow[] {
  const all = [...now].map(([name, { objects, bytes }]) => {
    const before = earlier?.get(name) ?? { objects: 0, bytes: 0 };
    const growth =
      earlier === null ? null : { objects: objects - before.objects, bytes: bytes - before.bytes };
    return { name, objects, bytes, growth };
  });
  return all.sort((a, b) => (b.growth?.bytes ?? b.bytes) - (a.growth?.bytes ?? a.bytes));
}

/** Texts of which many copies are alive; the text itself is a value and stays out. */
export function duplicatedStrings(heap: Heap): { copies: number; bytes: number } {
  const copies = new Map<number, number>();
  let count = 0;
  let bytes = 0;
  for (let node = 0; node < heap.nodeCount; node++) {
    if (heap.nodeType[node] !== NODE.string) continue;
    const name = heap.nodeName[node]!;
    const before = copies.get(name) ?? 0;
    copies.set(name, before + 1);
    if (before === 0) continue;
    count++;
    bytes += sizeOf(heap, node);
  }
  return { copies: count, bytes };
}
