/**
 * `NodeKinds`: keeps the number of edges and the kind of each node in about 3 bytes. The kind of an object is its class; the
 * kind of any other node is its type. The columns grow in blocks, because a larger copy would exist beside the old one.
 */

const BLOCK_BITS = 16;
const BLOCK_NODES = 1 << BLOCK_BITS;
const IN_BLOCK = BLOCK_NODES - 1;
/** A node with at least this many edges has their number in a map. */
const MANY_EDGES = 255;
/** Above this a block has 4 bytes for each kind. */
const MAX_SMALL_KIND = 0xffff;

export class NodeKinds {
  readonly #edges: Uint8Array[] = [];
  readonly #manyEdges = new Map<number, number>();
  readonly #kinds: (Uint16Array | Uint32Array)[] = [];
  readonly #kindOfType = new Map<number, number>();
  readonly #kindOfClass = new Map<number, number>();
  readonly #objectType: number;
  #kindCount = 0;
  #length = 0;

  /** `objectType` is the index of the type whose nodes are named by their class. */
  constructor(objectType: number) {
    this.#objectType = objectType;
  }

  get length(): number {
    return this.#length;
  }

  add(type: number, name: number, edges: number): void {
    const at = this.#length & IN_BLOCK;
    if (at === 0) this.#addBlock();
    const block = this.#length >>> BLOCK_BITS;
    this.#edges[block]![at] = Math.min(edges, MANY_EDGES);
    if (edges >= MANY_EDGES) this.#manyEdges.set(this.#length, edges);
    const kind =
      type === this.#objectType ? this.#kind(this.#kindOfClass, name) : this.#kind(this.#kindOfType, type);
    if (kind > MAX_SMALL_KIND && this.#kinds[block] instanceof Uint16Array)
      this.#kinds[block] = Uint32Array.from(this.#kinds[block]);
    this.#kinds[block]![at] = kind;
    this.#length += 1;
  }

  edgesOf(node: number): number {
    const edges = this.#edges[node >>> BLOCK_BITS]?.[node & IN_BLOCK] ?? 0;
    return edges < MANY_EDGES ? edges : (this.#manyEdges.get(node) ?? 0);
  }

  /** Equal for nodes of one kind. Files that are not valid can refer to nodes that do not exist; all of these are one kind. */
  kindOf(node: number): number {
    return this.#kinds[node >>> BLOCK_BITS]?.[node & IN_BLOCK] ?? -1;
  }

  /** The kind of the nodes of a type; null when there are none. */
  kindOfType(type: number): number | null {
    return this.#kindOfType.get(type) ?? null;
  }

  #addBlock(): void {
    this.#edges.push(new Uint8Array(BLOCK_NODES));
    const isSmall = this.#kindCount <= MAX_SMALL_KIND;
    this.#kinds.push(isSmall ? new Uint16Array(BLOCK_NODES) : new Uint32Array(BLOCK_NODES));
  }

  #kind(kinds: Map<number, number>, key: number): number {
    let kind = kinds.get(key);
    if (kind === undefined) {
      kind = this.#kindCount++;
      kinds.set(key, kind);
    }
    return kind;
  }
}
