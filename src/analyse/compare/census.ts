/** `Census`: the number of objects and bytes of each class in a snapshot, and the rows of it that an analysis reports. */
import type { ClassRow } from '../../types/index.ts';
import { NODE, sizeOf } from '../graph/heap.ts';
import type { Heap } from '../graph/heap.ts';

export interface ClassCount {
  objects: number;
  bytes: number;
}
/** The key is the class of objects, `native <name>` of native objects and roots, `(<type>)` of all other nodes. */
export type Census = ReadonlyMap<string, ClassCount>;

export interface Censuses {
  readonly current: Census;
  readonly earlier: Census;
  /** The middle one of three snapshots. */
  readonly middle: Census | null;
}

const MAX_ROWS = 30;
const TYPE_NAMES = Object.keys(NODE);
const NATIVE = 'native ';
/** Objects of the engine. Their number says nothing about the program. */
const ENGINE_TYPES = new Set(['(code)', '(hidden)', '(object shape)', '(synthetic)', '(other)']);

export function takeCensus(heap: Heap): Census {
  const { nodeCount, nodeType, nodeName } = heap;
  // Columns by name index: twenty million lookups in a Map take a second.
  const objects = new Uint32Array(heap.names.count);
  const objectBytes = new Float64Array(heap.names.count);
  const natives = new Map<number, ClassCount>();
  const byType = TYPE_NAMES.map((): ClassCount => ({ objects: 0, bytes: 0 }));
  for (let node = 0; node < nodeCount; node += 1) {
    const type = nodeType[node]!;
    const name = nodeName[node]!;
    const size = sizeOf(heap, node);
    if (type === NODE.object) {
      objects[name]! += 1;
      objectBytes[name]! += size;
      continue;
    }
    let count = byType[type]!;
    if (type === NODE.native || type === NODE.synthetic) {
      count = natives.get(name) ?? { objects: 0, bytes: 0 };
      if (count.objects === 0) natives.set(name, count);
    }
    count.objects += 1;
    count.bytes += size;
  }
  const census = new Map<string, ClassCount>();
  objects.forEach((count, name) => {
    if (count > 0) add(census, heap.names.text(name), { objects: count, bytes: objectBytes[name]! });
  });
  for (const [name, count] of natives) add(census, `${NATIVE}${heap.names.text(name)}`, count);
  byType.forEach((count, type) => count.objects > 0 && add(census, `(${TYPE_NAMES[type]})`, count));
  return census;
}

function add(census: Map<string, ClassCount>, name: string, { objects, bytes }: ClassCount): void {
  const sum = census.get(name);
  if (sum === undefined) census.set(name, { objects, bytes });
  else {
    sum.objects += objects;
    sum.bytes += bytes;
  }
}

/** The key in a census for nodes of this type and name index. */
export function censusKey(heap: Heap, type: number, name: number): string {
  if (type === NODE.object) return heap.names.text(name);
  if (type === NODE.native || type === NODE.synthetic) return nativeKey(heap.names.text(name));
  return `(${TYPE_NAMES[type]})`;
}

export const nativeKey = (name: string): string => `${NATIVE}${name}`;

/** Number of objects gained since the earlier snapshot; negative when there are fewer. */
export const gainedObjects = ({ current, earlier }: Censuses, key: string): number =>
  (current.get(key)?.objects ?? 0) - (earlier.get(key)?.objects ?? 0);

/** The classes that gained most bytes, or, with a single snapshot, that have most bytes. */
export function classRows(current: Census, earlier: Census | null): ClassRow[] {
  return rows(current, earlier)
    .filter(({ name }) => !ENGINE_TYPES.has(name) && !name.startsWith(NATIVE))
    .slice(0, MAX_ROWS);
}

const MIN_EXTERNAL_BYTES = 64 << 10;

/** Memory outside the JavaScript heap that the snapshot lists: ArrayBuffers, TLS, zlib, handles. */
export function externalRows(current: Census, earlier: Census | null): ClassRow[] {
  return rows(current, earlier)
    .filter(({ name, bytes }) => name.startsWith(NATIVE) && bytes >= MIN_EXTERNAL_BYTES)
    .map((row) => ({ ...row, name: row.name.slice(NATIVE.length) }))
    .slice(0, MAX_ROWS);
}

function rows(current: Census, earlier: Census | null): ClassRow[] {
  const all = [...current].map(([name, { objects, bytes }]) => {
    const before = earlier?.get(name) ?? { objects: 0, bytes: 0 };
    const growth =
      earlier === null ? null : { objects: objects - before.objects, bytes: bytes - before.bytes };
    return { name, objects, bytes, growth };
  });
  return all.sort((a, b) => (b.growth?.bytes ?? b.bytes) - (a.growth?.bytes ?? a.bytes));
}

/** Number and size of strings with the same text as another one. The text is data and is not returned. */
export function duplicatedStrings(heap: Heap): { copies: number; bytes: number } {
  const { nodeCount, nodeType, nodeName } = heap;
  const seen = new Uint8Array(heap.names.count);
  let copies = 0;
  let bytes = 0;
  for (let node = 0; node < nodeCount; node += 1) {
    if (nodeType[node] !== NODE.string) continue;
    const name = nodeName[node]!;
    if (seen[name] === 1) {
      copies += 1;
      bytes += sizeOf(heap, node);
    }
    seen[name] = 1;
  }
  return { copies, bytes };
}
