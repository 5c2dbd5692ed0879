/** Finds an entry of a container that proves the leak, and the path from it to the object that proves it. */
import type { RetainingStep } from '../../types/index.ts';
import { isTimerLink } from '../compare/containers.ts';
import type { SnapshotMatch } from '../compare/growth.ts';
import { EDGE, EDGE_TYPE_MASK, NODE, className, edgeText, isBoundValue } from '../graph/heap.ts';
import type { Heap } from '../graph/heap.ts';
import { isModuleScope, propertyText } from '../graph/retaining-path.ts';
import { OPEN_SOCKET, objectState, unknown } from './object-state.ts';
import type { ObjectState, StateContext } from './object-state.ts';

/** A step whose place in the path is not judged yet. */
export type PathStep = Pick<RetainingStep, 'text' | 'is' | 'state' | 'because'>;

export interface ExampleEntry {
  readonly entry: number;
  readonly state: ObjectState;
  /** From the entry to the nearest object that should not be alive, else to the nearest open socket. */
  readonly below: readonly PathStep[];
  /** The entry is an open socket or leads to one. */
  readonly isOpen: boolean;
}

const MAX_ENTRIES = 20;
const MAX_NODES = 60;
const MAX_DEPTH = 4;
const OPEN_BELOW = 'an open socket: no snapshot shows whether its peer still responds';

/**
 * The first sampled entry that should not be alive or leads to such an object; else the first that the earlier snapshot does
 * not have; else the first object or function.
 */
export function findExampleEntry(
  context: StateContext,
  earlierNode: SnapshotMatch['earlierNode'],
  sample: readonly number[],
): ExampleEntry | null {
  const { nodeType } = context.heap;
  const candidates = [...new Set(sample)].filter(
    (node) => nodeType[node] === NODE.object || nodeType[node] === NODE.closure,
  );
  // Spread over the sample: neighbours have the same age, and the newest belong to connections that are still open.
  const step = Math.max(1, candidates.length / MAX_ENTRIES);
  const entries = Array.from(
    { length: Math.min(candidates.length, MAX_ENTRIES) },
    (_, index) => candidates[Math.floor(index * step)]!,
  );
  let first: ExampleEntry | null = null;
  for (const entry of entries) {
    const example = examine(context, earlierNode, entry);
    if (example.state.state === 'leaking' || example.below.at(-1)?.state === 'leaking') return example;
    // V8 lists the keys of a dictionary by their hash, whose seed is random: the first entry may be an old one.
    if (first === null || (earlierNode[first.entry] !== 0 && earlierNode[entry] === 0)) first = example;
  }
  return first;
}

interface Visited {
  readonly node: number;
  readonly text: string;
  readonly from: Visited | null;
  readonly depth: number;
}

/** Breadth-first search through fields and variables of functions, in objects that are as new as the entry. */
function examine(
  context: StateContext,
  earlierNode: SnapshotMatch['earlierNode'],
  entry: number,
): ExampleEntry {
  const { heap } = context;
  const state = stateBelowEntry(objectState(context, entry));
  const isOpenSocket = state.because === OPEN_BELOW;
  if (state.state === 'leaking' || isOpenSocket) return { entry, state, below: [], isOpen: isOpenSocket };
  const queue: Visited[] = [{ node: entry, text: '', from: null, depth: 0 }];
  const visited = new Set([entry]);
  let openSocket: Visited | null = null;
  for (const current of queue) {
    if (current.depth > 0) {
      const found = objectState(context, current.node);
      if (found.state === 'leaking') return { entry, state, below: pathTo(context, current), isOpen: false };
      // Everything can be reached through objects that are alive for another reason, so the search ends there.
      if (found.state === 'not-leaking') {
        if (found.because === OPEN_SOCKET) openSocket ??= current;
        continue;
      }
    }
    for (const next of current.depth < MAX_DEPTH ? fieldsBelow(heap, current) : []) {
      if (visited.size >= MAX_NODES || visited.has(next.node) || earlierNode[next.node] !== 0) continue;
      visited.add(next.node);
      queue.push(next);
    }
  }
  return {
    entry,
    state,
    below: openSocket === null ? [] : pathTo(context, openSocket),
    isOpen: openSocket !== null,
  };
}

/** An object that is alive for another reason may still be wrong in a container whose entries pile up. */
function stateBelowEntry(state: ObjectState): ObjectState {
  if (state.state !== 'not-leaking') return state;
  return unknown(state.because === OPEN_SOCKET ? OPEN_BELOW : state.because);
}

function pathTo(context: StateContext, last: Visited): PathStep[] {
  const steps: PathStep[] = [];
  for (let current = last; current.from !== null; current = current.from) {
    const { node, text } = current;
    if (text === '') continue;
    const state = stateBelowEntry(objectState(context, node));
    steps.unshift({ text, is: className(context.heap, node), ...state });
  }
  return steps;
}

function* fieldsBelow(heap: Heap, from: Visited): Generator<Visited> {
  const { node, depth } = from;
  for (let edge = heap.firstEdge[node]!; edge < heap.firstEdge[node + 1]!; edge += 1) {
    const edgeType = heap.edgeLabel[edge]! & EDGE_TYPE_MASK;
    const name = edgeText(heap, edge);
    const to = heap.edgeTo[edge]!;
    const type = heap.nodeType[to];
    if ((type !== NODE.object && type !== NODE.closure) || isTimerLink(heap, edge)) continue;
    if (name === 'context' && edgeType === EDGE.internal) {
      // A module's scope refers to all variables of the module.
      if (!isModuleScope({ heap }, to)) yield { node: to, text: '', from, depth };
    } else if (isBoundValue(heap, edge)) yield { node: to, text: '', from, depth: depth + 1 };
    else if (edgeType === EDGE.context) yield { node: to, text: name, from, depth: depth + 1 };
    else if (edgeType === EDGE.property && !/^(__proto__|constructor|prototype)$/.test(name)) {
      yield { node: to, text: propertyText(name), from, depth: depth + 1 };
    }
  }
}
