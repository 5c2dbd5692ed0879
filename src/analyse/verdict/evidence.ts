import type { Comparison } from './describe.ts';
import { EDGE, EDGE_MASK, NODE, edgeText, follow, nodeText } from '../graph/heap.ts';
import type { Heap } from '../graph/heap.ts';
import type { Judged } from './narrow.ts';
import { className, memberText } from '../locate/path.ts';
import { OPEN_SOCKET, stateOf, unknown } from './state.ts';
import type { Facts, Stated } from './state.ts';

/** One entry, and the way from it to the nearest thing that should not be there any more. */
export interface Witness {
  readonly entry: number;
  readonly state: Stated;
  readonly below: readonly Judged[];
  /** It is, or leads to, a socket that is open. */
  readonly isOpen: boolean;
}

const MOST_ENTRIES = 20;
const MOST_NODES = 60;
const MOST_DEPTH = 4;
/** Only the server knows of an open connection whether its peer still answers. */
const OPEN_BELOW = 'an open socket: whether its peer still answers is in no snapshot';

/** The first of some entries that shows it; else the first that is an object or a function at all. */
export function findWitness(facts: Facts, comparison: Comparison, sample: readonly number[]): Witness | null {
  const { nodeType } = facts.heap;
  const able = [...new Set(sample)].filter(
    (node) => nodeType[node] === NODE.object || nodeType[node] === NODE.closure,
  );
  // Spread: those side by side are as old as each other, and the newest are of connections that are open still.
  const apart = Math.max(1, able.length / MOST_ENTRIES);
  const entries = Array.from(
    { length: Math.min(able.length, MOST_ENTRIES) },
    (_, at) => able[Math.floor(at * apart)]!,
  );
  let best: Witness | null = null;
  for (const entry of entries) {
    const witness = lookInto(facts, comparison, entry);
    if (witness.state.state === 'leaking' || witness.below.at(-1)?.state === 'leaking') return witness;
    best ??= witness;
  }
  return best;
}

interface Seen {
  readonly node: number;
  readonly text: string;
  readonly from: Seen | null;
  readonly depth: number;
}

/** Breadth first through its fields, or the variables of a function, in what is as new as the entry. */
function lookInto(facts: Facts, { first }: Comparison, entry: number): Witness {
  const { heap } = facts;
  const own = belowEntry(stateOf(facts, entry));
  const isOpenItself = own.because === OPEN_BELOW;
  if (own.state === 'leaking' || isOpenItself) return { entry, state: own, below: [], isOpen: isOpenItself };
  const queue: Seen[] = [{ node: entry, text: '', from: null, depth: 0 }];
  const seen = new Set([entry]);
  let open: Seen | null = null;
  for (const at of queue) {
    if (at.depth > 0) {
      const stated = stateOf(facts, at.node);
      if (stated.state === 'leaking') return { entry, state: own, below: judgedOf(facts, at), isOpen: false };
      // Behind what is alive by itself lies everything.
      if (stated.state === 'not-leaking') {
        if (stated.because === OPEN_SOCKET) open ??= at;
        continue;
      }
    }
    for (const next of at.depth < MOST_DEPTH ? fieldsBelow(heap, at) : []) {
      if (seen.size >= MOST_NODES || seen.has(next.node) || first.before[next.node] !== 0) continue;
      seen.add(next.node);
      queue.push(next);
    }
  }
  return { entry, state: own, below: open === null ? [] : judgedOf(facts, open), isOpen: open !== null };
}

/** What is alive by itself may still be one too many where such things pile up. */
function belowEntry(stated: Stated): Stated {
  if (stated.state !== 'not-leaking') return stated;
  return unknown(stated.because === OPEN_SOCKET ? OPEN_BELOW : stated.because);
}

function judgedOf(facts: Facts, last: Seen): Judged[] {
  const judged: Judged[] = [];
  for (let at = last; at.from !== null; at = at.from) {
    const { node, text } = at;
    if (text === '') continue;
    judged.unshift({ text, is: className(facts.heap, node), ...belowEntry(stateOf(facts, node)) });
  }
  return judged;
}

function* fieldsBelow(heap: Heap, from: Seen): Generator<Seen> {
  const { node, depth } = from;
  for (let edge = heap.firstEdge[node]!; edge < heap.firstEdge[node + 1]!; edge++) {
    const kind = heap.edgeLabel[edge]! & EDGE_MASK;
    const name = edgeText(heap, edge);
    const to = heap.edgeTo[edge]!;
    const type = heap.nodeType[to];
    if (type !== NODE.object && type !== NODE.closure) continue;
    if (name === 'context' && kind === EDGE.internal) {
      // A module's scope leads to all that the module knows.
      if (!isOutermost(heap, to)) yield { node: to, text: '', from, depth };
    } else if (kind === EDGE.context) yield { node: to, text: name, from, depth: depth + 1 };
    else if (
      kind === EDGE.property &&
      name !== '__proto__' &&
      name !== 'constructor' &&
      name !== 'prototype'
    ) {
      yield { node: to, text: memberText(name), from, depth: depth + 1 };
    }
  }
}

function isOutermost(heap: Heap, context: number): boolean {
  const outer = follow(heap, context, 'previous');
  return outer >= 0 && nodeText(heap, outer) === 'system / NativeContext';
}
