/** `NameTable`: the strings of a snapshot that are names (classes, functions, fields, variables, scripts). */
import { decodeString } from '../../heapsnapshot/json.ts';

/** Names that the analysis itself looks for. Their string indexes are stored while the snapshot is read. */
const INTERNED = [
  '<symbol kHandle>',
  '<symbol no ref>',
  '<symbol owner_symbol>',
  'FinalizationRegistry',
  'Node / CleanupQueue',
  'Promise',
  'Socket',
  'TimersList',
  '__proto__',
  '_events',
  '_httpMessage',
  '_idleNext',
  '_idlePrev',
  '_onTimeout',
  '_repeat',
  '_server',
  'bound_function',
  'bound_this',
  'callback',
  'constructor',
  'context',
  'fn',
  'func',
  'handler',
  'listener',
  'map',
  'name',
  'previous',
  'prototype',
  'script',
  'script_or_debug_info',
  'shared',
  'system / PromiseReaction',
  'system / SourceTextModule',
  'table',
  'value',
] as const;

export type InternedName = (typeof INTERNED)[number];
const INTERNED_NAMES: ReadonlySet<string> = new Set(INTERNED);
const MAX_INTERNED_BYTES = Math.max(...INTERNED.map((name) => name.length));

const BLOCK_BYTES = 1 << 20;
/** Longer names are cut. V8 itself cuts names at 1,024 characters. */
const MAX_NAME_BYTES = 8 << 10;
const LENGTH_BYTES = 2;
const ZERO = 48;
/** The length and the first byte of each interned name: nearly all other names differ in them, and are not decoded. */
const INTERNED_STARTS: ReadonlySet<number> = new Set(
  INTERNED.map((name) => startKey(name.length, name.charCodeAt(0))),
);

function startKey(length: number, firstByte: number): number {
  return (length << 8) | firstByte;
}

/**
 * Keeps only the strings that nodes and edges use as names. The values of string objects (97 % of the string table of a
 * heap with much data) are not stored, so they cost no memory and no value can reach the output.
 */
export class NameTable {
  /** One bit for each string index: it is the name of a node or an edge. */
  readonly #used: Uint8Array;
  /** Offset in the pool plus one; 0: not stored. Allocated at the first string, when the highest index is known. */
  #offsets = new Float64Array(0);
  readonly #blocks: Uint8Array[] = [];
  #blockFill = BLOCK_BYTES;
  readonly #decoded = new Map<number, string>();
  readonly #interned = new Map<string, number>();
  #highest = -1;
  #count = 0;

  /** `maxNames`: the highest string index that `markUsed` accepts. */
  constructor(maxNames: number) {
    this.#used = new Uint8Array((maxNames >>> 3) + 1);
  }

  /** Number of strings in the snapshot, stored or not. */
  get count(): number {
    return this.#count;
  }

  /** Call for all names before the first `store`: the string table is the last section of the file. */
  markUsed(index: number): void {
    const used = this.#used;
    const byte = used[index >>> 3]!;
    const bit = 1 << (index & 7);
    if ((byte & bit) !== 0) return;
    used[index >>> 3] = byte | bit;
    if (index > this.#highest) this.#highest = index;
  }

  /** False when the string is no name. */
  store(index: number, data: Uint8Array, start: number, end: number): boolean {
    this.#count = index + 1;
    if (index > this.#highest || (this.#used[index >>> 3]! & (1 << (index & 7))) === 0) return false;
    if (this.#offsets.length === 0) this.#offsets = new Float64Array(this.#highest + 1);
    const length = Math.min(end - start, MAX_NAME_BYTES);
    if (this.#blockFill + LENGTH_BYTES + length > BLOCK_BYTES) {
      this.#blocks.push(new Uint8Array(BLOCK_BYTES));
      this.#blockFill = 0;
    }
    const block = this.#blocks[this.#blocks.length - 1]!;
    this.#offsets[index] = (this.#blocks.length - 1) * BLOCK_BYTES + this.#blockFill + 1;
    block[this.#blockFill] = length & 255;
    block[this.#blockFill + 1] = length >>> 8;
    block.set(data.subarray(start, start + length), this.#blockFill + LENGTH_BYTES);
    this.#blockFill += LENGTH_BYTES + length;
    if (end - start <= MAX_INTERNED_BYTES && INTERNED_STARTS.has(startKey(end - start, data[start]!))) {
      const text = decodeString(data, start, end);
      if (INTERNED_NAMES.has(text)) this.#interned.set(text, index);
    }
    return true;
  }

  has(index: number): boolean {
    return index < this.#offsets.length && this.#offsets[index] !== 0;
  }

  /** Empty for a string that is not a name. */
  text(index: number): string {
    const decoded = this.#decoded.get(index);
    if (decoded !== undefined) return decoded;
    if (!this.has(index)) return '';
    const offset = this.#offsets[index]! - 1;
    const block = this.#blocks[Math.floor(offset / BLOCK_BYTES)]!;
    const start = offset % BLOCK_BYTES;
    const length = block[start]! + (block[start + 1]! << 8);
    const text = decodeString(block, start + LENGTH_BYTES, start + LENGTH_BYTES + length);
    this.#decoded.set(index, text);
    return text;
  }

  /** The number that a name of decimal digits shows, such as the index of a row; -1 for other names. */
  integer(index: number): number {
    if (!this.has(index)) return -1;
    const offset = this.#offsets[index]! - 1;
    const block = this.#blocks[Math.floor(offset / BLOCK_BYTES)]!;
    const start = offset % BLOCK_BYTES;
    const length = block[start]! + (block[start + 1]! << 8);
    let value = 0;
    for (let at = start + LENGTH_BYTES; at < start + LENGTH_BYTES + length; at += 1) {
      const digit = block[at]! - ZERO;
      if (digit < 0 || digit > 9) return -1;
      value = value * 10 + digit;
    }
    return length === 0 ? -1 : value;
  }

  /** The string index of an interned name, or -1 when the snapshot does not contain it. V8 writes each text once. */
  indexOf(name: InternedName): number {
    return this.#interned.get(name) ?? -1;
  }
}
