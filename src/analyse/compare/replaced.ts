import { gainedOf } from './census.ts';
import type { Censuses } from './census.ts';
import { LEAST_FRESH, kindName } from './growth.ts';
import type { Chain, Grown, Pairing } from './growth.ts';
import { nodeText } from '../graph/heap.ts';
import type { Heap } from '../graph/heap.ts';

/**
 * A list that is copied at each change (`clients = clients.filter(…)`, a configuration read again) is a new object each
 * time, and the one before it has gone. So what is fresh counts against what went, the fullest against the fullest.
 */
export function netOfCopies(pairing: Pairing, grown: readonly Grown[]): Grown[] {
  const fresh = grown.filter(({ how }) => how === 'fresh').sort((a, b) => b.gained - a.gained);
  if (fresh.length === 0) return [...grown];
  const gone = entriesGone(pairing);
  const net = fresh.map((each, at) => ({ ...each, gained: each.gained - (gone[at] ?? 0) }));
  return [...grown.filter(({ how }) => how !== 'fresh'), ...net];
}

/** How full those were that are not there any more, the fullest first. */
function entriesGone({ before, earlier: { nodes, entries } }: Pairing): number[] {
  const isThere = new Uint8Array((nodes.at(-1) ?? 0) + 2);
  for (let node = 0; node < before.length; node++) isThere[before[node]!] = 1;
  const gone: number[] = [];
  for (let at = 0; at < nodes.length; at++) {
    if (entries[at]! >= LEAST_FRESH && isThere[nodes[at]! + 1] === 0) gone.push(entries[at]!);
  }
  return gone.sort((a, b) => b - a);
}

/**
 * Links that came in place of others are no growth either: of each class no more is counted than there are
 * more of it in the whole heap.
 */
export function netOfChain(heap: Heap, censuses: Censuses, chain: Chain): Chain {
  const named = [...chain.kinds].map(([kind, count]) => ({ key: kindName(heap, kind), count }));
  const isObject = named.some(({ key }) => !key.startsWith('('));
  // Words that a registry is to be told of the dead are there as long as those live, who have a holder of their own.
  if (!isObject && nodeText(heap, chain.node) === 'FinalizationRegistry')
    return { ...chain, links: 0, gained: 0 };
  let gained = 0;
  let links = 0;
  for (const { key, count } of named) {
    const net = Math.min(count, Math.max(0, gainedOf(censuses, key)));
    gained += net;
    // An object may come with closures, arrays and numbers of its own; it is one link.
    if (!isObject || !key.startsWith('(')) links = Math.max(links, net);
  }
  const gainedBytes = chain.gainedBytes * (gained / Math.max(1, chain.gained));
  return { ...chain, links, gained, gainedBytes: Math.round(gainedBytes) };
}
