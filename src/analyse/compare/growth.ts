/** Containers that gained entries between two snapshots. */
import { NODE } from '../graph/heap.ts';
import type { Heap } from '../graph/heap.ts';
import { containerIndex, entryCount, isTimersList } from './containers.ts';
import type { ContainerSizes } from './containers.ts';

/** The current snapshot, matched with an earlier one. */
export interface SnapshotMatch {
  /** Node -> node of the earlier snapshot plus one; 0 for new nodes. */
  readonly earlierNode: Uint32Array | Uint8Array;
  /** Its nodes are those of the earlier snapshot. */
  readonly earlier: ContainerSizes;
  readonly current: ContainerSizes;
  /** True when nodes were matched by id. Matching by path takes an old object for a new one when its path changed. */
  readonly isExact: boolean;
}

export interface Growth {
  readonly node: number;
  /**
   * `entries`: a container gained entries. `numbers`: its backing store grew, but not its entries. `new`: the container
   * is new. `chain`: new objects below an old object, see `chains.ts`.
   */
  readonly how: 'entries' | 'numbers' | 'new' | 'chain';
  /** Net: removed entries are subtracted. A server with other clients than before, but as many, did not grow. */
  readonly gained: number;
  readonly gainedBytes: number;
}

const MIN_GAINED = 3;
/** Numbers are stored without edges, and V8 reserves capacity in steps, so smaller growth of a store proves nothing. */
const MIN_STORE_BYTES = 16 << 10;
const BYTES_PER_NUMBER = 8;
/** Smaller new containers are records or lists of one object. */
const MIN_NEW_ENTRIES = 50;

export function findGrowth(heap: Heap, { earlierNode, earlier, current }: SnapshotMatch): Growth[] {
  const growth: Growth[] = [];
  for (let index = 0; index < current.nodes.length; index += 1) {
    const node = current.nodes[index]!;
    if (heap.nodeType[node] !== NODE.object) continue;
    const entries = current.entries[index]!;
    if (earlierNode[node] === 0) {
      // Node creates a list for a duration with its first timer.
      if (isTimersList(heap, node)) growth.push({ node, how: 'entries', gained: entries, gainedBytes: 0 });
      else if (entries >= MIN_NEW_ENTRIES) growth.push({ node, how: 'new', gained: entries, gainedBytes: 0 });
      continue;
    }
    const before = containerIndex(earlier, earlierNode[node]! - 1);
    const gained = entries - (before < 0 ? 0 : earlier.entries[before]!);
    const gainedBytes = current.storeBytes[index]! - (before < 0 ? 0 : earlier.storeBytes[before]!);
    // Containers that shrank count too: in a group of containers some always grow while others shrink.
    if (Math.abs(gained) >= MIN_GAINED) growth.push({ node, how: 'entries', gained, gainedBytes });
    else if (gainedBytes >= MIN_STORE_BYTES && gained >= 0) {
      growth.push({ node, how: 'numbers', gained: Math.round(gainedBytes / BYTES_PER_NUMBER), gainedBytes });
    }
  }
  return growth;
}

/**
 * A list that is copied at each change (`clients = clients.filter(…)`, a configuration that is read again) is a new
 * object each time, and the previous one is gone. Therefore the entries of new containers are reduced by the entries of
 * those that are gone, the largest by the largest.
 */
export function subtractReplaced(match: SnapshotMatch, growth: readonly Growth[]): Growth[] {
  const created = growth.filter(({ how }) => how === 'new').sort((a, b) => b.gained - a.gained);
  if (created.length === 0) return [...growth];
  const gone = entriesOfGone(match);
  const net = created.map((each, index) => ({ ...each, gained: each.gained - (gone[index] ?? 0) }));
  return [...growth.filter(({ how }) => how !== 'new'), ...net];
}

/** Entries of the earlier containers that no longer exist, the largest first. */
function entriesOfGone({ earlierNode, earlier: { nodes, entries } }: SnapshotMatch): number[] {
  const exists = new Uint8Array((nodes.at(-1) ?? 0) + 2);
  for (let node = 0; node < earlierNode.length; node += 1) exists[earlierNode[node]!] = 1;
  const gone: number[] = [];
  for (let index = 0; index < nodes.length; index += 1) {
    if (entries[index]! >= MIN_NEW_ENTRIES && exists[nodes[index]! + 1] === 0) gone.push(entries[index]!);
  }
  return gone.sort((a, b) => b - a);
}

/** Entries that a container gained since the earlier snapshot of `match`; null when it is new since then. */
export function gainedEntries({ earlierNode, earlier, current }: SnapshotMatch, node: number): number | null {
  const before = earlierNode[node]! - 1;
  return before < 0 ? null : entryCount(current, node) - entryCount(earlier, before);
}
