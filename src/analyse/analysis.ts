import type { Analysis } from '../types.ts';
import { graphOf } from './graph.ts';
import type { Heap } from './heap.ts';
import type { Pairing } from './growth.ts';
import { idsAgree, matchByIds } from './match.ts';
import { pairByPath } from './pair.ts';
import type { Earlier } from './match.ts';
import type { Sources } from './sources.ts';
import { findSuspects } from './suspects.ts';

type Found = Omit<Analysis, 'schema' | 'snapshots'>;

/** Earlier snapshots in their order, and a way to read one again should its whole graph be needed. */
export interface Before {
  readonly earlier: readonly Earlier[];
  readonly again: (at: number) => Promise<Heap>;
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

export async function analyseGrowth(heap: Heap, before: Before, sources: Sources): Promise<Found> {
  const { pairing, matchedBy } = await pairWithFirst(heap, before);
  const suspects = findSuspects(graphOf(heap), pairing, sources);
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

async function pairWithFirst(
  heap: Heap,
  { earlier, again }: Before,
): Promise<{ pairing: Pairing; matchedBy: 'id' | 'path' }> {
  const [first] = earlier as [Earlier];
  if (idsAgree(heap, first)) {
    return {
      pairing: { before: matchByIds(heap, first), earlier: first.holdings, isExact: true },
      matchedBy: 'id',
    };
  }
  const graph = await again(0);
  return {
    pairing: { before: pairByPath(graph, heap), earlier: first.holdings, isExact: false },
    matchedBy: 'path',
  };
}
