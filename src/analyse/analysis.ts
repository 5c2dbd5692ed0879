import type { Analysis } from '../types.ts';
import { countHoldings } from './entries.ts';
import { findDominators } from './dominators.ts';
import { turnRound } from './edges.ts';
import type { Heap } from './heap.ts';
import { idsAgree, matchByIds } from './match.ts';
import type { Earlier } from './match.ts';
import { shortestPaths } from './reach.ts';
import { Scripts } from './scripts.ts';
import type { Sources } from './sources.ts';
import { findSuspects } from './suspects.ts';
import type { Graph } from './suspects.ts';

type Found = Omit<Analysis, 'schema' | 'snapshots'>;

/** Earlier snapshots in their order, and a way to read one again should its whole graph be needed. */
export interface Before {
  readonly earlier: readonly Earlier[];
  again(at: number): Promise<Heap>;
}

export function graphOf(heap: Heap): Graph {
  const incoming = turnRound(heap);
  const dominators = findDominators(heap, incoming);
  return { heap, incoming, dominators, reach: shortestPaths(heap), scripts: new Scripts(heap) };
}

export function analyseOne(heap: Heap, sources: Sources): Found {
  void heap;
  void sources;
  return {
    suspects: [],
    clean: false,
    because: 'One snapshot shows what holds the memory; what grows needs a second one.',
    matchedBy: null,
    holders: [],
    classes: [],
    external: [],
  };
}

export async function analyseGrowth(heap: Heap, { earlier }: Before, sources: Sources): Promise<Found> {
  const [first] = earlier as [Earlier];
  const matchedBy = idsAgree(heap, first) ? 'id' : 'path';
  const graph = graphOf(heap);
  const pairing = { before: matchByIds(heap, first), earlier: first.holdings };
  const suspects = findSuspects(graph, pairing, sources);
  return {
    suspects,
    clean: suspects.length === 0,
    because: suspects.length === 0 ? 'Nothing that was there before holds more than it did.' : '',
    matchedBy,
    holders: [],
    classes: [],
    external: [],
  };
}
void countHoldings;
