import { isStrong } from '../graph/edges.ts';
import { EDGE, EDGE_BITS, EDGE_MASK, NODE, isNamed, nodeText } from '../graph/heap.ts';
import type { Heap } from '../graph/heap.ts';

/**
 * Finds the objects of one snapshot again in another whose ids mean nothing there: both graphs are walked together
 * from their roots, and what is reached by the same steps and is of the same class is taken to be the same.
 * Gives by node of `later` where it stood in `earlier`, plus one; 0: it is new.
 */
export function pairByPath(earlier: Heap, later: Heap): Uint32Array {
  const walk = new Walk(earlier, later);
  walk.run();
  return walk.before;
}

/** What happens to be on the stack or in a handle while the snapshot is taken. */
const OF_THE_MOMENT = /stack|handle scope|handles/i;

class Walk {
  readonly before: Uint32Array;
  private readonly earlier: Heap;
  private readonly later: Heap;
  private readonly taken: Uint8Array;
  /** Nodes of `later` that were paired, in the order in which they were. */
  private readonly queue: Uint32Array;
  private tail = 0;
  private readonly words = new Map<string, number>();
  /** By index of a string: its word plus one, 0 when it was not asked for. A Map is asked four times an edge. */
  private readonly earlierWords: Uint32Array;
  private readonly laterWords: Uint32Array;

  constructor(earlier: Heap, later: Heap) {
    this.earlier = earlier;
    this.later = later;
    this.before = new Uint32Array(later.nodeCount);
    this.taken = new Uint8Array(earlier.nodeCount);
    this.queue = new Uint32Array(later.nodeCount);
    this.earlierWords = new Uint32Array(earlier.names.count);
    this.laterWords = new Uint32Array(later.names.count);
  }

  run(): void {
    this.pair(0, 0);
    const steady: number[] = [];
    const ofTheMoment: number[] = [];
    for (let head = 0, next = 0, last = 0; ;) {
      for (; head < this.tail; head++) {
        const node = this.queue[head]!;
        // Lists of roots tell by order only, which is a weak word: names are followed first, stacks come last.
        if (node === 0 || this.later.nodeType[node] !== NODE.synthetic) this.pairChildren(node);
        else if (OF_THE_MOMENT.test(nodeText(this.later, node))) ofTheMoment.push(node);
        else steady.push(node);
      }
      const node = steady[next++] ?? ofTheMoment[last++];
      if (node === undefined) return;
      this.pairChildren(node);
    }
  }

  private pair(old: number, node: number): void {
    if (this.taken[old] === 1 || this.before[node] !== 0) return;
    this.taken[old] = 1;
    this.before[node] = old + 1;
    this.queue[this.tail++] = node;
  }

  /** Objects that did not change have the same edges in the same order; the rest is found by name. */
  private pairChildren(node: number): void {
    const { earlier, later } = this;
    const old = this.before[node]! - 1;
    let oldEdge = earlier.firstEdge[old]!;
    let edge = later.firstEdge[node]!;
    const oldEnd = earlier.firstEdge[old + 1]!;
    const end = later.firstEdge[node + 1]!;
    const isByOrder = later.nodeType[node] === NODE.synthetic || isTableLike(later, node);
    while (oldEdge < oldEnd && edge < end && !isByOrder) {
      if (this.keyOf(earlier, oldEdge) !== this.keyOf(later, edge)) break;
      if (this.isAlike(oldEdge, edge)) this.pair(earlier.edgeTo[oldEdge]!, later.edgeTo[edge]!);
      oldEdge++;
      edge++;
    }
    if (oldEdge === oldEnd || edge === end) return;
    const free = new Map<string, number[]>();
    for (let at = oldEnd - 1; at >= oldEdge; at--) {
      if (!isStrong(earlier.edgeLabel[at]!, old)) continue;
      const key = this.childKey(earlier, at, isByOrder);
      const list = free.get(key);
      if (list === undefined) free.set(key, [at]);
      else list.push(at);
    }
    for (let at = edge; at < end; at++) {
      if (!isStrong(later.edgeLabel[at]!, node)) continue;
      const match = free.get(this.childKey(later, at, isByOrder))?.pop();
      if (match !== undefined) this.pair(earlier.edgeTo[match]!, later.edgeTo[at]!);
    }
  }

  private isAlike(oldEdge: number, edge: number): boolean {
    const old = this.earlier.edgeTo[oldEdge]!;
    const node = this.later.edgeTo[edge]!;
    if (this.earlier.nodeType[old] !== this.later.nodeType[node]) return false;
    return (
      this.wordOf(this.earlier, this.earlier.nodeName[old]!) ===
      this.wordOf(this.later, this.later.nodeName[node]!)
    );
  }

  /** Rows of tables and lists of handles have numbers that shift: there the class and the order decide. */
  private childKey(heap: Heap, edge: number, isByOrder: boolean): string {
    const to = heap.edgeTo[edge]!;
    const what = `${heap.nodeType[to]} ${this.wordOf(heap, heap.nodeName[to]!)}`;
    return isByOrder ? what : `${this.keyOf(heap, edge)} ${what}`;
  }

  private keyOf(heap: Heap, edge: number): number {
    const label = heap.edgeLabel[edge]!;
    const type = label & EDGE_MASK;
    const name = label >>> EDGE_BITS;
    return (isNamed(type) ? this.wordOf(heap, name) : name) * 8 + type;
  }

  /** The same text has another index in each file; values have no text here and count as one. */
  private wordOf(heap: Heap, index: number): number {
    const known = heap === this.earlier ? this.earlierWords : this.laterWords;
    const seen = known[index]!;
    if (seen !== 0) return seen;
    const text = heap.names.text(index);
    const word = this.words.get(text) ?? this.words.size + 1;
    this.words.set(text, word);
    known[index] = word;
    return word;
  }
}

/** An array without a name that an object keeps its rows in. */
function isTableLike(heap: Heap, node: number): boolean {
  if (heap.nodeType[node] !== NODE.array || nodeText(heap, node) !== '') return false;
  const first = heap.edgeLabel[heap.firstEdge[node]!];
  return first !== undefined && (first & EDGE_MASK) === EDGE.internal;
}
