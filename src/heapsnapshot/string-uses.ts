/** `StringUses`: collects from nodes and edges whether each string of a snapshot is a name or only a value. */
import { NodeKinds } from './node-kinds.ts';
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

type Column = Uint8Array | Uint32Array | Int32Array;

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
  readonly #nodes: NodeKinds;
  #use = new Uint8Array(1 << 16);
  #names = 0;
  /** The node whose edges are being read, and the number of its edges that follow. */
  #owner = -1;
  #edgesLeft = 0;
  #mayBeDictionary = false;
  #keyCount = 0;
  #keyNames = new Uint32Array(1 << 8);
  #keyTargets = new Uint32Array(1 << 8);
  /** The objects that look like dictionaries: their keys one after the other, and for each the number and the shape of its keys. */
  #dictionaryKeys = new Uint32Array(1 << 12);
  #dictionaryKeyCount = 0;
  #dictionarySizes = new Uint32Array(1 << 8);
  #dictionaryShapes = new Int32Array(1 << 8);
  #dictionaryCount = 0;
  readonly #shapes = new Map<number, number>();

  constructor({ layout }: SnapshotHeader, rules: UseRules) {
    this.#layout = layout;
    this.#rules = rules;
    this.#nodeUse = layout.nodeTypes.map((type) => rules.nodeName(type));
    this.#edgeUse = layout.edgeTypes.map((type) => (INDEXED.has(type) ? 0 : rules.edgeName(type)));
    this.#propertyType = layout.edgeTypes.indexOf('property');
    this.#closureType = layout.nodeTypes.indexOf('closure');
    this.#nodes = new NodeKinds(layout.nodeTypes.indexOf('object'));
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
    let firstKey = 0;
    for (let dictionary = 0; dictionary < this.#dictionaryCount; dictionary += 1) {
      const end = firstKey + this.#dictionarySizes[dictionary]!;
      const objects = this.#shapes.get(this.#dictionaryShapes[dictionary]!) ?? 0;
      if (objects >= this.#rules.shapeCount)
        for (let at = firstKey; at < end; at += 1) this.#mark(this.#dictionaryKeys[at]!, USE.given);
      firstKey = end;
    }
  }

  #addNodes(values: Float64Array, count: number): void {
    const { nodeFields, node } = this.#layout;
    for (let at = 0; at < count; at += nodeFields) {
      const type = values[at + node.type]!;
      const name = values[at + node.name]!;
      this.#nodes.add(type, name, values[at + node.edgeCount]!);
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
    if (this.#owner >= this.#nodes.length) {
      throw new SnapshotError('WSGUARD_SNAPSHOT_EDGES', 'there are more edges than the nodes have in total');
    }
    const edges = this.#nodes.edgesOf(this.#owner);
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
    const counts = new Map<number, number>();
    let highest = 0;
    let mostFrequent = -1;
    for (let key = 0; key < keys; key += 1) {
      const kind = this.#nodes.kindOf(this.#keyTargets[key]!);
      const count = (counts.get(kind) ?? 0) + 1;
      counts.set(kind, count);
      if (count > highest) [highest, mostFrequent] = [count, kind];
    }
    const areFunctions = mostFrequent === this.#nodes.kindOfType(this.#closureType);
    return this.#rules.isDictionary(keys, highest, areFunctions);
  }

  #addDictionary(): void {
    const dictionary = this.#dictionaryCount;
    if (dictionary >= MAX_DICTIONARIES) return;
    const keys = this.#keyCount;
    this.#dictionaryKeys = grow(this.#dictionaryKeys, this.#dictionaryKeyCount + keys);
    let shape = keys;
    for (let key = 0; key < keys; key += 1) {
      const name = this.#keyNames[key]!;
      this.#dictionaryKeys[this.#dictionaryKeyCount++] = name;
      shape = (Math.imul(shape ^ name, 0x01000193) + (shape >>> 15)) | 0;
    }
    this.#dictionarySizes = grow(this.#dictionarySizes, dictionary + 1);
    this.#dictionaryShapes = grow(this.#dictionaryShapes, dictionary + 1);
    this.#dictionarySizes[dictionary] = keys;
    this.#dictionaryShapes[dictionary] = shape;
    this.#dictionaryCount += 1;
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
