/** Counts the entries of every container of a heap: maps, sets, arrays, objects used as maps, timers, lists, handles. */
import type { CensusType } from '../../types/index.ts';
import { MAX_RECORD_FIELDS, isTimersList, entriesOf } from '../compare/containers.ts';
import { entriesPerReference } from '../compare/groups.ts';
import { EDGE, EDGE_TYPE_BITS, EDGE_TYPE_MASK, NODE, className } from '../graph/heap.ts';
import type { Heap } from '../graph/heap.ts';

export interface CountedContainer {
  readonly node: number;
  readonly type: CensusType;
  readonly entries: number;
}

/** One entry is a field that refers to a list of one, not a container. */
const MIN_ENTRIES = 2;
// Local constants: an imported name is read from its module object at each use, here for each edge.
const { hidden: HIDDEN } = NODE;
const { element: ELEMENT, property: PROPERTY, internal: INTERNAL } = EDGE;
const TYPE_MASK = EDGE_TYPE_MASK;
const TYPE_BITS = EDGE_TYPE_BITS;

/** Objects with elements, a table, many fields or timers. All others are records, and nearly all objects are. */
export class ContainerCandidates {
  readonly #heap: Heap;
  readonly #tableEdge: number;
  readonly #timersList: number;
  readonly nodes: number[] = [];

  constructor(heap: Heap) {
    this.#heap = heap;
    this.#tableEdge = heap.names.indexOf('table');
    this.#timersList = heap.names.indexOf('TimersList');
  }

  visit(node: number): void {
    const { firstEdge, edgeLabel, nodeName } = this.#heap;
    let [elements, fields] = [0, 0];
    let isCandidate = nodeName[node] === this.#timersList;
    for (let edge = firstEdge[node]!, end = firstEdge[node + 1]!; edge < end; edge += 1) {
      const label = edgeLabel[edge]!;
      const type = label & TYPE_MASK;
      if (type === PROPERTY) fields += 1;
      else if (type === ELEMENT) elements += 1;
      else if (type === INTERNAL && label >>> TYPE_BITS === this.#tableEdge) isCandidate = true;
    }
    if (isCandidate || elements >= MIN_ENTRIES || fields > MAX_RECORD_FIELDS) this.nodes.push(node);
  }
}

/** `candidates`: the objects that may be containers. */
export function countContainers(
  heap: Heap,
  candidates: readonly number[],
  onCounted: (container: CountedContainer) => void,
): void {
  const parts: Parts = { elements: 0, fields: 0, table: -1 };
  const tableEdge = heap.names.indexOf('table');
  for (const node of candidates) {
    readParts(heap, node, tableEdge, parts);
    const each = countOne(heap, node, parts);
    if (each !== null && each.entries >= MIN_ENTRIES) onCounted(each);
  }
}

/** Filled anew for each object, because an object of its own for each would cost most of the time. */
interface Parts {
  elements: number;
  fields: number;
  table: number;
}

function readParts(
  { nodeType, firstEdge, edgeLabel, edgeTo }: Heap,
  node: number,
  tableEdge: number,
  parts: Parts,
): void {
  let [elements, fields, table] = [0, 0, -1];
  for (let edge = firstEdge[node]!, end = firstEdge[node + 1]!; edge < end; edge += 1) {
    const label = edgeLabel[edge]!;
    const edgeType = label & TYPE_MASK;
    // `undefined` and holes are hidden nodes: an array that is allocated at its full length has no entries yet.
    if (edgeType === ELEMENT) elements += nodeType[edgeTo[edge]!] === HIDDEN ? 0 : 1;
    else if (edgeType === PROPERTY) fields += 1;
    else if (edgeType === INTERNAL && label >>> TYPE_BITS === tableEdge) table = edgeTo[edge]!;
  }
  parts.elements = elements;
  parts.fields = fields;
  parts.table = table;
}

function countOne(heap: Heap, node: number, { elements, fields, table }: Parts): CountedContainer | null {
  if (isTimersList(heap, node)) {
    let entries = 0;
    for (const _ of entriesOf(heap, node)) entries += 1;
    return { node, type: 'Timers', entries };
  }
  if (table >= 0) {
    const counts = countTable(heap, node, table);
    return counts === null ? null : { ...counts, node };
  }
  if (elements >= MIN_ENTRIES)
    return { node, type: className(heap, node) === 'Array' ? 'Array' : 'Object', entries: elements };
  const isMap = fields > MAX_RECORD_FIELDS && className(heap, node) === 'Object';
  return isMap ? { node, type: 'Object', entries: fields } : null;
}

function countTable(heap: Heap, node: number, table: number): { type: CensusType; entries: number } | null {
  const { firstEdge, edgeLabel, edgeTo, nodeType } = heap;
  let references = 0;
  for (let edge = firstEdge[table]!, end = firstEdge[table + 1]!; edge < end; edge += 1) {
    const type = edgeLabel[edge]! & EDGE_TYPE_MASK;
    if ((type === EDGE.internal || type === EDGE.weak) && nodeType[edgeTo[edge]!] !== HIDDEN) references += 1;
  }
  if (references < MIN_ENTRIES) return null;
  const name = className(heap, node);
  if (name === 'WeakMap' || name === 'WeakSet') return { type: 'Weak', entries: references };
  const ofMap = entriesPerReference(heap, 'Map', node);
  // Rows of a Set are key, link: keys and links alternate, so a column of three has a third of the references.
  return ofMap > MIN_SET_SHARE
    ? { type: 'Map', entries: Math.round(references * ofMap) }
    : { type: 'Set', entries: references };
}

/** In a Map's table one of three columns has at least half of the references; in a Set's each has a third. */
const MIN_SET_SHARE = 0.45;
