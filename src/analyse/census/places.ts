/**
 * `Places`: where in the source a container belongs. Two snapshots of one process have other object ids and other keys in
 * their maps, but the same variables, classes and fields, so a place is found again without matching objects.
 */
import { MAX_RECORD_FIELDS } from '../compare/containers.ts';
import { pathParent } from '../graph/graph.ts';
import type { Graph } from '../graph/graph.ts';
import { EDGE, EDGE_TYPE_MASK, NODE, NONE, className, edgeText, nodeText } from '../graph/heap.ts';
import {
  firstFunctionOf,
  isContext,
  isTableRow,
  propertyText,
  variableNameIn,
} from '../graph/retaining-path.ts';
import { isPackageFile, isUserFile } from '../graph/scripts.ts';

export interface Place {
  readonly key: string;
  /** `application` and `package`: a variable or a class of user code. `node`: neither is on the path. */
  readonly owner: 'application' | 'package' | 'agent' | 'node';
}

const NODE_PLACE: Place = { key: '', owner: 'node' };
/** A container in a deeper structure belongs to the place at this depth: the structure itself is what grows. */
const MAX_PARTS = 10;
/** An object that many functions capture: the first of them in the heap are enough to find its name. */
const MAX_NAMING_EDGES = 300;
/** V8 stores the receiver of an arrow function's scope as `this` or `.this`. */
const RECEIVER = /^\.?this$/;
const BACKING_STORES = new Set(['elements', 'properties', 'table', 'buckets', 'context', 'shared']);
/** Names that are data: ids, addresses, event names with a number. */
const DATA_NAME = /\d{2,}|[^\w$.#-]|^.{40,}$/;

export class Places {
  readonly #graph: Graph;
  /** Node -> index in `#list` plus one; 0: not asked for yet. */
  readonly #indexes: Uint32Array;
  readonly #list: Place[] = [];
  readonly #indexOf = new Map<Place, number>();
  readonly #userPlaces = new Map<string, Map<string, Place>>();
  readonly #depths = new Map<Place, number>();
  /** The places below a place by the part that their key adds, so that objects of one place share it. */
  readonly #belowPlace = new Map<Place, Map<string, Place>>();
  readonly #isMap = new Map<number, boolean>();

  constructor(graph: Graph) {
    this.#graph = graph;
    this.#indexes = new Uint32Array(graph.heap.nodeCount);
  }

  of(node: number): Place {
    const pending: number[] = [];
    let current = node;
    let place: Place | undefined;
    for (;;) {
      place = this.#list[this.#indexes[current]! - 1];
      if (place !== undefined) break;
      place = this.#anchor(current) ?? undefined;
      if (place !== undefined) {
        this.#set(current, place);
        break;
      }
      pending.push(current);
      current = pathParent(this.#graph.heap, this.#graph.paths, current);
      if (current === NONE || current === 0) {
        place = NODE_PLACE;
        break;
      }
    }
    for (let index = pending.length - 1; index >= 0; index -= 1) {
      place = this.#below(place, pending[index]!);
      this.#set(pending[index]!, place);
    }
    return place;
  }

  #set(node: number, place: Place): void {
    let index = this.#indexOf.get(place);
    if (index === undefined) {
      index = this.#list.push(place);
      this.#indexOf.set(place, index);
    }
    this.#indexes[node] = index;
  }

  /** The place of an object that code names itself: a variable, or an instance of a class of user code. */
  #anchor(node: number): Place | null {
    const { heap, scripts, incoming } = this.#graph;
    if (heap.nodeType[node] !== NODE.object && heap.nodeType[node] !== NODE.closure) return null;
    if (isContext(this.#graph, node)) return null;
    if (heap.nodeType[node] === NODE.object) {
      const position = scripts.position(node);
      if (position !== null && isUserFile(position.file))
        return this.#userPlace(position.file, className(heap, node));
    }
    const exported = this.#graph.exports.get(node);
    if (exported === undefined && incoming.start[node] === incoming.start[node + 1]) return null;
    const place =
      exported === undefined ? this.#variable(node) : this.#userPlace(exported.position.file, exported.key);
    return place?.owner === 'agent' && this.#isForeignFunction(node) ? NODE_PLACE : place;
  }

  /** The agent keeps functions of Node in variables. All timers of the process can be reached through `setTimeout`. */
  #isForeignFunction(node: number): boolean {
    const { heap, scripts } = this.#graph;
    if (heap.nodeType[node] !== NODE.closure) return false;
    const position = scripts.position(node);
    return position === null || !scripts.isAgentFile(position.file);
  }

  /** One place for all objects of a class: a heap has many of them. */
  #userPlace(file: string, name: string): Place {
    let ofFile = this.#userPlaces.get(file);
    if (ofFile === undefined) this.#userPlaces.set(file, (ofFile = new Map()));
    let place = ofFile.get(name);
    if (place === undefined) {
      const owner = this.#graph.scripts.isAgentFile(file)
        ? 'agent'
        : isPackageFile(file)
          ? 'package'
          : 'application';
      place = { key: `${file} ${name}`, owner };
      ofFile.set(name, place);
    }
    return place;
  }

  /** The smallest name counts: the order of the edges differs from one snapshot to the next. */
  #variable(node: number): Place | null {
    const { incoming } = this.#graph;
    const end = Math.min(incoming.start[node + 1]!, incoming.start[node]! + MAX_NAMING_EDGES);
    let best: Place | null = null;
    for (let index = incoming.start[node]!; index < end; index += 1) {
      const context = incoming.from[index]!;
      if (!isContext(this.#graph, context)) continue;
      const name = variableNameIn(this.#graph, context, node);
      if (name === null || RECEIVER.test(name)) continue;
      const file = this.#fileOf(context);
      if (file === null) continue;
      const place = this.#userPlace(file, name);
      if (best === null || rank(place) < rank(best) || (rank(place) === rank(best) && place.key < best.key))
        best = place;
    }
    return best;
  }

  readonly #files = new Map<number, string | null>();

  #fileOf(context: number): string | null {
    const cached = this.#files.get(context);
    if (cached !== undefined) return cached;
    const file = firstFunctionOf(this.#graph, context)?.file ?? null;
    this.#files.set(context, file);
    return file;
  }

  #below(parent: Place, node: number): Place {
    const { heap, paths } = this.#graph;
    const edge = paths.edgeInto[node]!;
    const from = pathParent(heap, paths, node);
    const part = this.#partOf(edge, from, node);
    if (part === '') return parent;
    const below = this.#belowPlace.get(parent);
    const shared = below?.get(part);
    if (shared !== undefined) return shared;
    const depth = this.#depths.get(parent) ?? 0;
    // A list of a thousand links is one place.
    if (depth >= MAX_PARTS || parent.key.endsWith(`${part}${part}`)) return parent;
    const place = { key: `${parent.key}${part}`, owner: parent.owner };
    this.#depths.set(place, depth + 1);
    if (below === undefined) this.#belowPlace.set(parent, new Map([[part, place]]));
    else below.set(part, place);
    return place;
  }

  #partOf(edge: number, from: number, node: number): string {
    const { heap } = this.#graph;
    const type = heap.edgeLabel[edge]! & EDGE_TYPE_MASK;
    if (from === 0) return `(${nodeText(heap, node)})`;
    if (type === EDGE.element) return heap.nodeType[from] === NODE.object ? '[…]' : '';
    const name = edgeText(heap, edge);
    if (type === EDGE.internal && name.includes(' pair in WeakMap (table @')) return '.weak(…)';
    if (isTableRow(heap, edge, from)) return '.get(…)';
    if (type === EDGE.property) return this.#fieldOf(name, from);
    if (type === EDGE.context) return RECEIVER.test(name) ? '' : ` ${name}`;
    if (BACKING_STORES.has(name)) return '';
    if (heap.nodeType[from] === NODE.synthetic) return `:${className(heap, node)}`;
    return type === EDGE.hidden ? '' : `/${name}`;
  }

  /** Keys of maps and names with ids are data: they are the same part of the place. */
  #fieldOf(name: string, from: number): string {
    if (this.#graph.heap.nodeType[from] === NODE.synthetic) return '';
    const isField = name.startsWith('<symbol') || !(this.#isKeyed(from) || DATA_NAME.test(name));
    return isField ? propertyText(name) : '[…]';
  }

  #isKeyed(node: number): boolean {
    const cached = this.#isMap.get(node);
    if (cached !== undefined) return cached;
    const { heap } = this.#graph;
    const { firstEdge, edgeLabel } = heap;
    let fields = 0;
    if (nodeText(heap, node) === 'Object')
      for (let edge = firstEdge[node]!; edge < firstEdge[node + 1]!; edge += 1)
        if ((edgeLabel[edge]! & EDGE_TYPE_MASK) === EDGE.property) fields += 1;
    // The keys of an object with more fields are data.
    const isMap = fields > MAX_RECORD_FIELDS;
    this.#isMap.set(node, isMap);
    return isMap;
  }
}

const rank = ({ owner }: Place): number => ({ application: 0, package: 1, agent: 2, node: 3 })[owner];
