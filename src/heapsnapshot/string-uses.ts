/** `StringUses`: collects from nodes and edges whether each string of a snapshot is a name or only a value. */
import { SnapshotError } from './snapshot-error.ts';
import type { SnapshotHeader } from './header.ts';
import type { NumberSection } from './tokenizer.ts';

/**
 * Bits of a string's uses as a name; 0 for a string that is only a value. `fixed`: a word of V8 or of the source text.
 * `given`: a name that the program gave, such as a property.
 */
export const USE = { fixed: 1, given: 2 } as const;

export interface UseRules {
  /** The use that nodes of this type make of their name. */
  nodeName(type: string): number;
  edgeName(type: string): number;
  /**
   * Whether the keys of an object are data. `sameKind`: number of its properties with the most frequent class or type;
   * `areFunctions`: whether that type is a function.
   */
  isDictionary(keys: number, sameKind: number, areFunctions: boolean): boolean;
  /** When this many objects have the same keys, the keys are names of fields, even if each object looks like a dictionary. */
  readonly shapeCount: number;
}

type Column = Uint8Array | Uint32Array;

/** An object that looks like a dictionary. */
interface Dictionary {
  readonly firstKey: number;
  readonly keys: number;
  readonly shape: number;
}

/** Edge types whose `name_or_index` is a number. */
const INDEXED = new Set(['element', 'hidden']);
/** The keys of further dictionaries are masked. */
const MAX_DICTIONARIES = 1 << 20;
/** V8 numbers strings in the order of their first use. Files of other writers may skip this many numbers. */
const MAX_SKIPPED_STRINGS = 1 << 20;

export class StringUses {
  readonly #layout: SnapshotHeader['layout'];
  readonly #rules: UseRules;
  readonly #nodeUse: readonly number[];
  readonly #edgeUse: readonly number[];
  readonly #propertyType: number;
  readonly #closureType: number;
  readonly #objectType: number;
  #use = new Uint8Array(1 << 16);
  #nodeType = new Uint8Array(1 << 16);
  #nodeName = new Uint32Array(1 << 16);
  #nodeEdges = new Uint32Array(1 << 16);
  #nodes = 0;
  #names = 0;
  /** The node whose edges are being read, and the number of its edges that follow. */
  #owner = -1;
  #edgesLeft = 0;
  #mayBeDictionary = false;
  #keyCount = 0;
  #keyNames = new Uint32Array(1 << 8);
  #keyTargets = new Uint32Array(1 << 8);
  #dictionaryKeys = new Uint32Array(1 << 12);
  #dictionaryKeyCount = 0;
  readonly #dictionaries: Dictionary[] = [];
  readonly #shapes = new Map<number, number>();

  constructor({ layout }: SnapshotHeader, rules: UseRules) {
    this.#layout = layout;
    this.#rules = rules;
    this.#nodeUse = layout.nodeTypes.map((type) => rules.nodeName(type));
    this.#edgeUse = layout.edgeTypes.map((type) => (INDEXED.has(type) ? 0 : rules.edgeName(type)));
    this.#propertyType = layout.edgeTypes.indexOf('property');
    this.#closureType = layout.nodeTypes.indexOf('closure');
    this.#objectType = layout.nodeTypes.indexOf('object');
  }

  of(string: number): number {
    return this.#use[string] ?? 0;
  }

  numbers(section: NumberSection, values: Float64Array, count: number): void {
    if (section === 'nodes') this.#addNodes(values, count);
    else if (section === 'edges') this.#addEdges(values, count);
  }

  /** Call after the last edge. Keys of dictionaries that are frequent enough to be a shape become names. */
  settle(): void {
    this.#finishOwner();
    for (const { firstKey, keys, shape } of this.#dictionaries) {
      if ((this.#shapes.get(shape) ?? 0) < this.#rules.shapeCount) continue;
      for (let at = firstKey; at < firstKey + keys; at += 1) this.#mark(this.#dictionaryKeys[at]!, USE.given);
    }
  }

  #addNodes(values: Float64Array, count: number): void {
    const { nodeFields, node } = this.#layout;
    const rows = count / nodeFields;
    this.#nodeType = grow(this.#nodeType, this.#nodes + rows);
    this.#nodeName = grow(this.#nodeName, this.#nodes + rows);
    this.#nodeEdges = grow(this.#nodeEdges, this.#nodes + rows);
    for (let at = 0; at < count; at += nodeFields) {
      const type = values[at + node.type]!;
      const name = values[at + node.name]!;
      this.#nodeType[this.#nodes] = type;
      this.#nodeName[this.#nodes] = name;
      this.#nodeEdges[this.#nodes] = values[at + node.edgeCount]!;
      this.#nodes += 1;
      this.#mark(name, this.#nodeUse[type] ?? 0);
    }
  }

  #addEdges(values: Float64Array, count: number): void {
    const { edgeFields, edge, nodeFields } = this.#layout;
    for (let at = 0; at < count; at += edgeFields) {
      while (this.#edgesLeft === 0) this.#nextNode();
      this.#edgesLeft--;
      const type = values[at + edge.type]!;
      const name = values[at + edge.nameOrIndex]!;
      if (type === this.#propertyType && this.#mayBeDictionary) {
        if (this.#keyCount === this.#keyNames.length) this.#growKeys();
        this.#keyNames[this.#keyCount] = name;
        this.#keyTargets[this.#keyCount++] = values[at + edge.toNode]! / nodeFields;
        continue;
      }
      const use = this.#edgeUse[type] ?? 0;
      if (use !== 0) this.#mark(name, use);
    }
  }

  #growKeys(): void {
    this.#keyNames = grow(this.#keyNames, this.#keyCount + 1);
    this.#keyTargets = grow(this.#keyTargets, this.#keyCount + 1);
  }

  #nextNode(): void {
    this.#finishOwner();
    this.#owner += 1;
    if (this.#owner >= this.#nodes) {
      throw new SnapshotError('WSGUARD_SNAPSHOT_EDGES', 'there are more edges than the nodes have in total');
    }
    const edges = this.#nodeEdges[this.#owner]!;
    this.#edgesLeft = edges;
    this.#mayBeDictionary = this.#rules.isDictionary(edges, edges, false);
  }

  #finishOwner(): void {
    if (this.#keyCount === 0) return;
    if (this.#looksLikeDictionary()) this.#addDictionary();
    else {
      const use = this.#edgeUse[this.#propertyType]!;
      for (let key = 0; key < this.#keyCount; key += 1) this.#mark(this.#keyNames[key]!, use);
    }
    this.#keyCount = 0;
  }

  #looksLikeDictionary(): boolean {
    const keys = this.#keyCount;
    if (!this.#rules.isDictionary(keys, keys, false)) return false;
    const kinds = new Map<number, number>();
    let highest = 0;
    let mostFrequent = 0;
    for (let key = 0; key < keys; key += 1) {
      const target = this.#keyTargets[key]!;
      const type = this.#nodeType[target] ?? 0;
      // The kind of an object is its class; the kind of a string, function or number is its type.
      const kind = type === this.#objectType ? this.#nodeName[target]! : -1 - type;
      const seen = (kinds.get(kind) ?? 0) + 1;
      kinds.set(kind, seen);
      if (seen > highest) [highest, mostFrequent] = [seen, kind];
    }
    return this.#rules.isDictionary(keys, highest, mostFrequent === -1 - this.#closureType);
  }

  #addDictionary(): void {
    if (this.#dictionaries.length >= MAX_DICTIONARIES) return;
    const keys = this.#keyCount;
    const firstKey = this.#dictionaryKeyCount;
    this.#dictionaryKeys = grow(this.#dictionaryKeys, firstKey + keys);
    let shape = keys;
    for (let key = 0; key < keys; key += 1) {
      const name = this.#keyNames[key]!;
      this.#dictionaryKeys[this.#dictionaryKeyCount++] = name;
      shape = (Math.imul(shape ^ name, 0x01000193) + (shape >>> 15)) | 0;
    }
    this.#dictionaries.push({ firstKey, keys, shape });
    this.#shapes.set(shape, (this.#shapes.get(shape) ?? 0) + 1);
  }

  #mark(string: number, use: number): void {
    this.#names += 1;
    if (string >= this.#use.length) {
      if (string > this.#names + MAX_SKIPPED_STRINGS) {
        throw new SnapshotError(
          'WSGUARD_SNAPSHOT_STRINGS',
          `a name has the index ${string}, which is too high`,
        );
      }
      this.#use = grow(this.#use, string + 1);
    }
    this.#use[string]! |= use;
  }
}

function grow<A extends Column>(array: A, length: number): A {
  if (length <= array.length) return array;
  const larger = new (array.constructor as new (length: number) => A)(Math.max(length, array.length * 2));
  larger.set(array);
  return larger;
}
