/** `IdReplacer`: copies a heap snapshot and gives its nodes other ids. All other sections are copied unchanged. */
import type { SnapshotHeader } from './header.ts';
import { Tokenizer, type NumberSection, type SnapshotSink } from './tokenizer.ts';

const encoder = new TextEncoder();
/** V8 writes the two sections in this order. */
const BETWEEN_NODES_AND_EDGES = encoder.encode('],\n"edges":[');

export class IdReplacer implements SnapshotSink {
  readonly #tokenizer = new Tokenizer(this);
  readonly #ids: ArrayLike<number>;
  readonly #emit: (bytes: Uint8Array) => void;
  #fields = 0;
  #idField = 0;
  #node = 0;
  #chunk: Uint8Array = new Uint8Array(0);
  /** Offset in the file of the chunk. */
  #chunkOffset = 0;
  /** Offset of the first byte that is not copied yet; null inside the section of the nodes. */
  #copyFrom: number | null = 0;

  /** `ids`: one for each node. `emit` receives copies in the order of the file and may keep them. */
  constructor(ids: ArrayLike<number>, emit: (bytes: Uint8Array) => void) {
    this.#ids = ids;
    this.#emit = emit;
  }

  /** Throws `SnapshotError` for text that is not a snapshot. */
  write(chunk: Uint8Array): void {
    this.#chunk = chunk;
    this.#tokenizer.write(chunk);
    if (this.#copyFrom !== null) this.#copyUpTo(this.#chunkOffset + chunk.length);
    this.#chunkOffset += chunk.length;
  }

  end(): void {
    this.#tokenizer.end();
  }

  header({ layout }: SnapshotHeader): void {
    this.#fields = layout.nodeFields;
    this.#idField = layout.node.id;
  }

  section(name: string, offset: number): void {
    if (name === 'nodes') {
      this.#copyUpTo(offset);
      this.#copyFrom = null;
    } else if (name === 'edges') {
      this.#emit(BETWEEN_NODES_AND_EDGES);
      this.#copyFrom = offset;
    }
  }

  numbers(section: NumberSection, values: Float64Array, count: number): void {
    if (section !== 'nodes') return;
    let text = '';
    for (let start = 0; start < count; start += this.#fields) {
      text += this.#node === 0 ? '' : ',';
      for (let field = 0; field < this.#fields; field += 1) {
        const value = field === this.#idField ? this.#ids[this.#node] : values[start + field];
        text += field === 0 ? value : `,${value}`;
      }
      text += '\n';
      this.#node += 1;
    }
    this.#emit(encoder.encode(text));
  }

  string(): void {
    // Strings are copied with their section.
  }

  #copyUpTo(offset: number): void {
    const start = (this.#copyFrom ?? offset) - this.#chunkOffset;
    const end = offset - this.#chunkOffset;
    // The caller reuses its chunk, and `slice` of a Buffer makes no copy.
    if (end > start) this.#emit(Uint8Array.prototype.slice.call(this.#chunk, start, end));
    this.#copyFrom = offset;
  }
}
