/** `sampleLinks`: links of a chain, spread over its length, because neighbours have the same age. */
import type { CensusType } from '../../types/index.ts';
import type { Graph } from '../graph/graph.ts';
import type { Heap } from '../graph/heap.ts';
import { isPromise, isReaction } from './census-graph.ts';
import type { LinkTest } from './closed-connections.ts';

/** The links are the entries, and `isLink` and `isPart` tell what a link leads to from what it refers to itself. */
export interface LinkSample extends LinkTest {
  readonly links: readonly number[];
}

/** Chosen: in a longer chain the functions that wait longest show what the others refer to. */
const MAX_PROMISES = 20_000;

/** Null for a type that is no chain. */
export function sampleLinks(
  { heap, paths }: Pick<Graph, 'heap' | 'paths'>,
  {
    node: head,
    entries,
    type,
  }: { readonly node: number; readonly entries: number; readonly type: CensusType },
  max: number,
): LinkSample | null {
  if (type === 'List') {
    const isLink = (node: number): boolean => isSameClass(heap, node, head);
    return { links: spread(listFrom(heap, head, entries), max), isLink, isPart: () => false };
  }
  if (type !== 'Promises') return null;
  return {
    links: spread(reactionsFrom({ heap, paths }, head), max),
    isLink: (node) => isReaction(heap, node),
    isPart: (node) => isPromise(heap, node),
  };
}

const isSameClass = ({ nodeName, nodeType }: Heap, a: number, b: number): boolean =>
  nodeName[a] === nodeName[b] && nodeType[a] === nodeType[b];

function spread(nodes: readonly number[], max: number): number[] {
  const step = Math.max(1, Math.floor(nodes.length / max));
  return nodes.filter((_, index) => index % step === 0).slice(0, max);
}

function listFrom(heap: Heap, head: number, length: number): number[] {
  const links: number[] = [];
  let [previous, link] = [-1, head];
  for (; links.length < length && link >= 0; [previous, link] = [link, nextLink(heap, link, previous)])
    links.push(link);
  return links;
}

/** The next object of the same class, or -1. `previous` is what the links of a doubly linked list refer back to. */
function nextLink(heap: Heap, link: number, previous: number): number {
  for (let edge = heap.firstEdge[link]!; edge < heap.firstEdge[link + 1]!; edge += 1) {
    const to = heap.edgeTo[edge]!;
    if (isSameClass(heap, to, link) && to !== previous && to !== link) return to;
  }
  return -1;
}

/** The reactions that are reached first through a promise or a reaction, the nearest first. */
function reactionsFrom({ heap, paths }: Pick<Graph, 'heap' | 'paths'>, head: number): number[] {
  const nodes = [head];
  for (let index = 0; index < nodes.length && nodes.length < MAX_PROMISES; index += 1) {
    const node = nodes[index]!;
    for (let edge = heap.firstEdge[node]!; edge < heap.firstEdge[node + 1]!; edge += 1) {
      const to = heap.edgeTo[edge]!;
      if (paths.edgeInto[to] === edge && (isReaction(heap, to) || isPromise(heap, to))) nodes.push(to);
    }
  }
  return nodes.filter((node) => isReaction(heap, node));
}
