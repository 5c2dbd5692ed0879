import { takeCensus } from './census.ts';
import type { Census } from './census.ts';
import { findAccepted } from '../verdict/connections.ts';
import type { Accepted } from '../verdict/connections.ts';
import { countHoldings } from './entries.ts';
import type { Holdings } from './entries.ts';
import { SnapshotError } from '../../heapsnapshot/errors.ts';
import { nodeText } from '../graph/heap.ts';
import type { Heap } from '../graph/heap.ts';

/** What is remembered of an earlier snapshot when its graph is let go. */
export interface Earlier {
  readonly holdings: Holdings;
  readonly census: Census;
  readonly accepted: Accepted;
  readonly ids: IdTable;
  /** Spread over the heap: id, type and class, to see whether ids mean the same in the next file. */
  readonly sample: readonly { readonly id: number; readonly type: number; readonly name: string }[];
}

/** By id: the node that has it, plus one. V8 counts its ids; those of native parts are hashes, as high as 2^32. */
interface IdTable {
  readonly counted: Uint32Array;
  readonly rest: ReadonlyMap<number, number>;
}

const SAMPLE = 5000;
/** Shares of the sample: found again by id, and then of the same type and class. */
const LEAST_FOUND = 0.05;
const LEAST_SAME = 0.98;
/** Above this many ids a node the table would be mostly holes. */
const DENSE_IDS_A_NODE = 16;
const DENSE_IDS = 1 << 24;

export function remember(heap: Heap): Earlier {
  const step = Math.max(1, Math.floor(heap.nodeCount / SAMPLE));
  const sample = [];
  for (let node = 0; node < heap.nodeCount; node += step) {
    sample.push({ id: heap.nodeId[node]!, type: heap.nodeType[node]!, name: nodeText(heap, node) });
  }
  return {
    holdings: countHoldings(heap),
    census: takeCensus(heap),
    accepted: findAccepted(heap),
    ids: indexIds(heap),
    sample,
  };
}

function indexIds({ nodeId, nodeCount }: Heap): IdTable {
  const most = DENSE_IDS_A_NODE * nodeCount + DENSE_IDS;
  let highest = 0;
  for (let node = 0; node < nodeCount; node++) {
    const id = nodeId[node]!;
    if (id > highest && id <= most) highest = id;
  }
  try {
    const counted = new Uint32Array(highest + 1);
    const rest = new Map<number, number>();
    for (let node = 0; node < nodeCount; node++) {
      const id = nodeId[node]!;
      if (id <= highest) counted[id] = node + 1;
      else rest.set(id, node + 1);
    }
    return { counted, rest };
  } catch {
    throw new SnapshotError('WSGUARD_SNAPSHOT_TOO_LARGE', `no memory for an index of ${nodeCount} ids`);
  }
}

/** Where each node of `heap` stood in the earlier snapshot, plus one; 0: it is new. */
export function matchByIds({ nodeId, nodeCount }: Heap, { ids: { counted, rest } }: Earlier): Uint32Array {
  const before = new Uint32Array(nodeCount);
  for (let node = 0; node < nodeCount; node++) {
    const id = nodeId[node]!;
    if (id < counted.length) before[node] = counted[id]!;
    else if (rest.size > 0) before[node] = rest.get(id) ?? 0;
  }
  return before;
}

/**
 * V8 gives ids as it meets objects and keeps them in the process that took the snapshot. A snapshot taken in a forked
 * child takes that knowledge with it: ids of two such files, or of two processes, have nothing to do with each other.
 */
export function idsAgree(heap: Heap, earlier: Earlier): boolean {
  const wanted = new Map(earlier.sample.map((each) => [each.id, each]));
  const highest = earlier.sample.reduce((most, { id }) => Math.max(most, id), 0);
  const mask = new Uint8Array((highest >>> 3) + 1);
  for (const id of wanted.keys()) mask[id >>> 3]! |= 1 << (id & 7);
  let same = 0;
  let found = 0;
  for (let node = 0; node < heap.nodeCount; node++) {
    const id = heap.nodeId[node]!;
    if (id > highest || (mask[id >>> 3]! & (1 << (id & 7))) === 0) continue;
    const { type, name } = wanted.get(id)!;
    found++;
    if (heap.nodeType[node] === type && nodeText(heap, node) === name) same++;
  }
  return found >= earlier.sample.length * LEAST_FOUND && same >= found * LEAST_SAME;
}
