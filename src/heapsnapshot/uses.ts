/** What each string of a snapshot is used for, gathered while nodes and edges pass by. */

import { SnapshotError } from './errors.ts';
import type { SnapshotHeader } from './meta.ts';
import type { NumberSection } from './sink.ts';

/** Ways in which a string is a name; none of them set: it is a value only. */
export const USE = { fixed: 1, given: 2 } as const;

export interface UseRules {
  /** The use that a node's type makes of its name: 0 for a value, `fixed` for a word of V8 or of source text. */
  nodeName(type: string): number;
  edgeName(type: string): number;
  /** Whether an object whose properties have these target kinds (kind -> how many) uses its keys as data. */
  isDictionary(keys: number, sameKind: number, ofFunctions: boolean): boolean;
  /** So many objects with the very same keys are a shape, whatever they look like one by one. */
  readonly shapeCount: number;
}

type Grown = Uint8Array | Uint32Array;

interface Bag {
  readonly firstKey: number;
  readonly keys: number;
  readonly shape: number;
}

/** Edge types whose `name_or_index` is a number. */
const INDEXED = new Set(['element', 'hidden']);
/** What more bags hold is masked. */
const MAX_BAGS = 1 << 20;
/** V8 numbers strings in the order of their first use; other writers may be freer by so many. */
const STRING_SLACK = 1 << 20;

export class Uses {
  private readonly layout: SnapshotHeader['layout'];
  private readonly rules: UseRules;
  private readonly nodeUse: readonly number[];
  private readonly edgeUse: readonly number[];
  private readonly propertyType: number;
  private readonly closureType: number;
  private readonly objectType: number;
  private use = new Uint8Array(1 << 16);
  private nodeType = new Uint8Array(1 << 16);
  private nodeName = new Uint32Array(1 << 16);
  private nodeEdges = new Uint32Array(1 << 16);
  private nodes = 0;
  private names = 0;
  /** The node whose edges pass by, and what is left of them. */
  private owner = -1;
  private edgesLeft = 0;
  private mayBeBag = false;
  private ownKeys = 0;
  private ownNames = new Uint32Array(1 << 8);
  private ownTargets = new Uint32Array(1 << 8);
  private bagKeys = new Uint32Array(1 << 12);
  private bagKeyCount = 0;
  private readonly bags: Bag[] = [];
  private readonly shapes = new Map<number, number>();

  constructor({ layout }: SnapshotHeader, rules: UseRules) {
    this.layout = layout;
    this.rules = rules;
    this.nodeUse = layout.nodeTypes.map((type) => rules.nodeName(type));
    this.edgeUse = layout.edgeTypes.map((type) => (INDEXED.has(type) ? 0 : rules.edgeName(type)));
    this.propertyType = layout.edgeTypes.indexOf('property');
    this.closureType = layout.nodeTypes.indexOf('closure');
    this.objectType = layout.nodeTypes.indexOf('object');
  }

  of(string: number): number {
    return this.use[string] ?? 0;
  }

  numbers(section: NumberSection, values: Float64Array, count: number): void {
    if (section === 'nodes') this.takeNodes(values, count);
    else if (section === 'edges') this.takeEdges(values, count);
  }

  /** All edges were seen: keys of what is a shape after all are names. */
  settle(): void {
    this.closeOwner();
    for (const { firstKey, keys, shape } of this.bags) {
      if ((this.shapes.get(shape) ?? 0) < this.rules.shapeCount) continue;
      for (let at = firstKey; at < firstKey + keys; at += 1) this.mark(this.bagKeys[at]!, USE.given);
    }
  }

  private takeNodes(values: Float64Array, count: number): void {
    const { nodeFields, node } = this.layout;
    const rows = count / nodeFields;
    this.nodeType = grow(this.nodeType, this.nodes + rows);
    this.nodeName = grow(this.nodeName, this.nodes + rows);
    this.nodeEdges = grow(this.nodeEdges, this.nodes + rows);
    for (let at = 0; at < count; at += nodeFields) {
      const type = values[at + node.type]!;
      const name = values[at + node.name]!;
      this.nodeType[this.nodes] = type;
      this.nodeName[this.nodes] = name;
      this.nodeEdges[this.nodes] = values[at + node.edgeCount]!;
      this.nodes += 1;
      this.mark(name, this.nodeUse[type] ?? 0);
    }
  }

  private takeEdges(values: Float64Array, count: number): void {
    const { edgeFields, edge, nodeFields } = this.layout;
    for (let at = 0; at < count; at += edgeFields) {
      while (this.edgesLeft === 0) this.nextOwner();
      this.edgesLeft--;
      const type = values[at + edge.type]!;
      const name = values[at + edge.nameOrIndex]!;
      if (type === this.propertyType && this.mayBeBag) {
        if (this.ownKeys === this.ownNames.length) this.growOwn();
        this.ownNames[this.ownKeys] = name;
        this.ownTargets[this.ownKeys++] = values[at + edge.toNode]! / nodeFields;
        continue;
      }
      const use = this.edgeUse[type] ?? 0;
      if (use !== 0) this.mark(name, use);
    }
  }

  private growOwn(): void {
    this.ownNames = grow(this.ownNames, this.ownKeys + 1);
    this.ownTargets = grow(this.ownTargets, this.ownKeys + 1);
  }

  private nextOwner(): void {
    this.closeOwner();
    this.owner += 1;
    if (this.owner >= this.nodes) {
      throw new SnapshotError('WSGUARD_SNAPSHOT_EDGES', 'there are more edges than the nodes lay claim to');
    }
    const edges = this.nodeEdges[this.owner]!;
    this.edgesLeft = edges;
    this.mayBeBag = this.rules.isDictionary(edges, edges, false);
  }

  private closeOwner(): void {
    if (this.ownKeys === 0) return;
    if (this.looksLikeDictionary()) this.keepBag();
    else {
      const use = this.edgeUse[this.propertyType]!;
      for (let key = 0; key < this.ownKeys; key += 1) this.mark(this.ownNames[key]!, use);
    }
    this.ownKeys = 0;
  }

  private looksLikeDictionary(): boolean {
    const keys = this.ownKeys;
    if (!this.rules.isDictionary(keys, keys, false)) return false;
    const kinds = new Map<number, number>();
    let most = 0;
    let kindOfMost = 0;
    for (let key = 0; key < keys; key += 1) {
      const target = this.ownTargets[key]!;
      const type = this.nodeType[target] ?? 0;
      // Objects are of a kind by their class, everything else (strings, functions, numbers) by its type.
      const kind = type === this.objectType ? this.nodeName[target]! : -1 - type;
      const seen = (kinds.get(kind) ?? 0) + 1;
      kinds.set(kind, seen);
      if (seen > most) [most, kindOfMost] = [seen, kind];
    }
    return this.rules.isDictionary(keys, most, kindOfMost === -1 - this.closureType);
  }

  private keepBag(): void {
    if (this.bags.length >= MAX_BAGS) return;
    const keys = this.ownKeys;
    const firstKey = this.bagKeyCount;
    this.bagKeys = grow(this.bagKeys, firstKey + keys);
    let shape = keys;
    for (let key = 0; key < keys; key += 1) {
      const name = this.ownNames[key]!;
      this.bagKeys[this.bagKeyCount++] = name;
      shape = (Math.imul(shape ^ name, 0x01000193) + (shape >>> 15)) | 0;
    }
    this.bags.push({ firstKey, keys, shape });
    this.shapes.set(shape, (this.shapes.get(shape) ?? 0) + 1);
  }

  private mark(string: number, use: number): void {
    this.names += 1;
    if (string >= this.use.length) {
      if (string > this.names + STRING_SLACK) {
        throw new SnapshotError('WSGUARD_SNAPSHOT_STRINGS', `a name is string ${string}, beyond any table`);
      }
      this.use = grow(this.use, string + 1);
    }
    this.use[string]! |= use;
  }
}

function grow<A extends Grown>(array: A, length: number): A {
  if (length <= array.length) return array;
  const grown = new (array.constructor as new (length: number) => A)(Math.max(length, array.length * 2));
  grown.set(array);
  return grown;
}
