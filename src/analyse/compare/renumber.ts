/** Object ids for a later snapshot, so that tools that compare by id find the objects of an earlier one again. */
import type { Heap } from '../graph/heap.ts';
import { matchByPath } from './matching.ts';

/** V8 gives odd ids to objects. Ids of native objects are hashes, up to 2^32. */
const ID_STEP = 2;
/** Ids above this many for each node are hashes. */
const MAX_IDS_PER_NODE = 16;
const MIN_ID_LIMIT = 1 << 24;

/**
 * One id for each node of `later`: that of its match in `earlier`, else one that no node of `earlier` has. Two nodes match when
 * the same steps lead to them and they have the same class.
 */
export function renumberedIds(earlier: Heap, later: Heap): Float64Array {
  const earlierNode = matchByPath(earlier, later);
  const limit = MAX_IDS_PER_NODE * earlier.nodeCount + MIN_ID_LIMIT;
  const hashed = new Set<number>();
  let highest = 1;
  for (let node = 0; node < earlier.nodeCount; node += 1) {
    const id = earlier.nodeId[node]!;
    if (id > limit) hashed.add(id);
    else if (id > highest) highest = id;
  }
  let next = highest + (highest % 2 === 0 ? 1 : ID_STEP);
  const ids = new Float64Array(later.nodeCount);
  for (let node = 0; node < later.nodeCount; node += 1) {
    const match = earlierNode[node]!;
    if (match > 0) {
      ids[node] = earlier.nodeId[match - 1]!;
      continue;
    }
    while (hashed.has(next)) next += ID_STEP;
    ids[node] = next;
    next += ID_STEP;
  }
  return ids;
}
