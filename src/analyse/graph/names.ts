import { decodeString } from '../../heapsnapshot/json.ts';

const BLOCK_BYTES = 1 << 20;
/** Longer names are cut: V8 itself cuts at 1,024 characters. */
const NAME_LIMIT_BYTES = 8 << 10;
const LENGTH_BYTES = 2;

/**
 * Texts of the strings that name something: classes, functions, fields, variables, scripts. The values of string
 * objects (97 % of the table of a data-heavy heap) are not among them, so they never enter our memory.
 */
export class Names {
  private readonly wanted: Uint8Array;
  /** Offset in the pool plus one; 0: not kept. Made when the first string comes, so its size is known. */
  private at = new Float64Array(0);
  private readonly blocks: Uint8Array[] = [];
  private used = BLOCK_BYTES;
  private readonly decoded = new Map<number, string>();
  private readonly words = new Map<string, number>();
  private highest = -1;
  count = 0;

  constructor(most: number) {
    this.wanted = new Uint8Array((most >>> 3) + 1);
  }

  want(index: number): void {
    const { wanted } = this;
    const byte = wanted[index >>> 3]!;
    const bit = 1 << (index & 7);
    if ((byte & bit) !== 0) return;
    wanted[index >>> 3] = byte | bit;
    if (index > this.highest) this.highest = index;
  }

  isWanted(index: number): boolean {
    return (this.wanted[index >>> 3]! & (1 << (index & 7))) !== 0;
  }

  keep(index: number, data: Uint8Array, start: number, end: number): void {
    this.count = index + 1;
    if (index > this.highest || !this.isWanted(index)) return;
    if (this.at.length === 0) this.at = new Float64Array(this.highest + 1);
    const length = Math.min(end - start, NAME_LIMIT_BYTES);
    if (this.used + LENGTH_BYTES + length > BLOCK_BYTES) {
      this.blocks.push(new Uint8Array(BLOCK_BYTES));
      this.used = 0;
    }
    const block = this.blocks[this.blocks.length - 1]!;
    this.at[index] = (this.blocks.length - 1) * BLOCK_BYTES + this.used + 1;
    block[this.used] = length & 255;
    block[this.used + 1] = length >>> 8;
    block.set(data.subarray(start, start + length), this.used + LENGTH_BYTES);
    this.used += LENGTH_BYTES + length;
  }

  has(index: number): boolean {
    return index < this.at.length && this.at[index] !== 0;
  }

  text(index: number): string {
    const known = this.decoded.get(index);
    if (known !== undefined) return known;
    if (!this.has(index)) return '';
    const offset = this.at[index]! - 1;
    const block = this.blocks[Math.floor(offset / BLOCK_BYTES)]!;
    const start = offset % BLOCK_BYTES;
    const length = block[start]! + (block[start + 1]! << 8);
    const text = decodeString(block, start + LENGTH_BYTES, start + LENGTH_BYTES + length);
    this.decoded.set(index, text);
    return text;
  }

  /** The index of a well-known name, or -1. V8 writes each distinct text once. */
  word(text: string): number {
    return this.words.get(text) ?? -1;
  }

  learnWord(text: string, index: number): void {
    this.words.set(text, index);
  }
}
