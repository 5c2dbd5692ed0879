import type { ClassRow } from '../../types/index.ts';
import { NODE, sizeOf } from '../graph/heap.ts';
import type { Heap } from '../graph/heap.ts';

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
  const { nodeCount, nodeType, nodeName } = heap;
  // By the index of the name: a Map asked twenty million times is a second of work.
  const objects = new Uint32Array(heap.names.count);
  const objectBytes = new Float64Array(heap.names.count);
  const natives = new Map<number, Tally>();
  const byType = TYPE_NAMES.map((): Tally => ({ objects: 0, bytes: 0 }));
  for (let node = 0; node < nodeCount; node++) {
    const type = nodeType[node]!;
    const name = nodeName[node]!;
    const size = sizeOf(heap, node);
    if (type === NODE.object) {
      objects[name]!++;
      objectBytes[name]! += size;
      continue;
    }
    let tally = byType[type]!;
    if (type === NODE.native || type === NODE.synthetic) {
      tally = natives.get(name) ?? { objects: 0, bytes: 0 };
      if (tally.objects === 0) natives.set(name, tally);
    }
    tally.objects++;
    tally.bytes += size;
  }
  const census = new Map<string, Tally>();
  objects.forEach((count, name) => {
    if (count > 0) add(census, heap.names.text(name), { objects: count, bytes: objectBytes[name]! });
  });
  for (const [name, tally] of natives) add(census, `${NATIVE}${heap.names.text(name)}`, tally);
  byType.forEach((tally, type) => tally.objects > 0 && add(census, `(${TYPE_NAMES[type]})`, tally));
  return census;
}

function add(census: Map<string, Tally>, name: string, { objects, bytes }: Tally): void {
  const sum = census.get(name);
  if (sum === undefined) census.set(name, { objects, bytes });
  else {
    sum.objects += objects;
    sum.bytes += bytes;
  }
}

const NATIVE = 'native ';

/** Under which name a node of our type, with that name of its own, is counted. */
export function censusName(heap: Heap, type: number, name: number): string {
  if (type === NODE.object) return heap.names.text(name);
  if (type === NODE.native || type === NODE.synthetic) return `${NATIVE}${heap.names.text(name)}`;
  return `(${TYPE_NAMES[type]})`;
}

/** How many more of a name there are than there were. */
export const gainedOf = ({ now, earlier }: Censuses, key: string): number =>
  (now.get(key)?.objects ?? 0) - (earlier.get(key)?.objects ?? 0);

export interface Censuses {
  readonly now: Census;
  readonly earlier: Census;
  /** Of the snapshot in between when there are three. */
  readonly middle: Census | null;
}

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
  const { nodeCount, nodeType, nodeName } = heap;
  const seen = new Uint8Array(heap.names.count);
  let copies = 0;
  let bytes = 0;
  for (let node = 0; node < nodeCount; node++) {
    if (nodeType[node] !== NODE.string) continue;
    const name = nodeName[node]!;
    if (seen[name] === 1) {
      copies++;
      bytes += sizeOf(heap, node);
    }
    seen[name] = 1;
  }
  return { copies, bytes };
}
