/** `HeapBuilder`: fills the columns of a `Heap` while the tokenizer reads a snapshot. */
import { SnapshotError } from '../../heapsnapshot/snapshot-error.ts';
import { decodeString } from '../../heapsnapshot/json.ts';
import type { SnapshotHeader } from '../../heapsnapshot/header.ts';
import type { NumberSection, SnapshotSink } from '../../heapsnapshot/tokenizer.ts';
import { EDGE, EDGE_TYPE_BITS, EDGE_TYPE_MASK, HUGE_SIZE, MAX_EDGE_NAME, NODE, isNamedEdge } from './heap.ts';
import type { Heap, Locations } from './heap.ts';
import { NameTable } from './names.ts';

// Local constants: an imported name is read from its module object at each use, here for each node or edge.
const TYPE_BITS = EDGE_TYPE_BITS;
const MAX_LABEL_NAME = MAX_EDGE_NAME;
const {
  string: STRING,
  'concatenated string': CONCATENATED,
  'sliced string': SLICED,
  number: NUMBER,
  'object shape': SHAPE,
} = NODE;
const { internal: INTERNAL } = EDGE;

/** V8 names the edges to a WeakMap's value like this. */
const EPHEMERON = / \/ part of key \(.*@\d+\) -> value \(.*@\d+\) pair in WeakMap \(table @(\d+)\)$/s;
const MIN_EPHEMERON_BYTES = 50;
const TABLE_BITS = 16;
const TABLE_MASK = (1 << TABLE_BITS) - 1;
/** Each value in the file takes at least one digit and one comma. */
const MIN_BYTES_PER_VALUE = 2;
/** A header that announces more values than this per byte is damaged. With fewer, the file was probably cut off. */
const MAX_VALUES_PER_BYTE = 1000;
/** Strings beyond one name for each node and edge: allocation traces use a few. */
const MAX_SURPLUS_STRINGS = 1 << 20;

export class HeapBuilder implements SnapshotSink {
  readonly #sizeBytes: number;
  readonly #withShapes: boolean;
  /** The node that the present edge starts from, and the index after its last edge in the file. */
  #owner = 0;
  #ownerEnd = 0;
  /** Edges so far without those that were left out. */
  #edges = 0;
  #header: SnapshotHeader | null = null;
  #nodeTypes = new Uint8Array(0);
  #edgeTypes = new Uint8Array(0);
  #row = 0;
  #edgeSum = 0;
  #selfBytes = 0;
  readonly #hugeSizes = new Map<number, number>();
  #names = new NameTable(0);
  #maxNames = 0;
  #highestName = 0;
  /** String index of an ephemeron edge's name -> id of the WeakMap's table. */
  readonly #ephemerons = new Map<number, number>();
  #nodeType = new Uint8Array(0);
  #nodeName = new Uint32Array(0);
  #nodeId = new Uint32Array(0);
  #selfSize = new Uint32Array(0);
  #firstEdge = new Uint32Array(0);
  #edgeLabel = new Uint32Array(0);
  #edgeTo = new Uint32Array(0);
  readonly #locations = new LocationRows();

  /**
   * `sizeBytes`: the maximum size of the unpacked file. Larger counts in the header are refused. Without shapes, the edges of
   * strings and numbers and those from objects to their shape are left out: a third of the edges of a heap with much data.
   */
  constructor(sizeBytes = Infinity, withShapes = true) {
    this.#sizeBytes = sizeBytes;
    this.#withShapes = withShapes;
  }

  header(header: SnapshotHeader): void {
    const { layout, nodeCount, edgeCount } = header;
    const values = nodeCount * layout.nodeFields + edgeCount * layout.edgeFields;
    if (values * MIN_BYTES_PER_VALUE > this.#sizeBytes || nodeCount === 0) {
      const isCut = nodeCount > 0 && values < this.#sizeBytes * MAX_VALUES_PER_BYTE;
      throw new SnapshotError(
        isCut ? 'WSGUARD_SNAPSHOT_TRUNCATED' : 'WSGUARD_SNAPSHOT_COUNTS',
        `the header promises ${nodeCount} nodes and ${edgeCount} edges, more than the file can contain`,
      );
    }
    this.#header = header;
    this.#maxNames = Math.min(nodeCount + edgeCount + MAX_SURPLUS_STRINGS, MAX_EDGE_NAME);
    this.#nodeTypes = typeNumbers(layout.nodeTypes, NODE, NODE.other);
    this.#edgeTypes = typeNumbers(layout.edgeTypes, EDGE, EDGE.other);
    try {
      this.#names = new NameTable(this.#maxNames);
      this.#nodeType = new Uint8Array(nodeCount);
      this.#nodeName = new Uint32Array(nodeCount);
      this.#nodeId = new Uint32Array(nodeCount);
      this.#selfSize = new Uint32Array(nodeCount);
      this.#firstEdge = new Uint32Array(nodeCount + 1);
      this.#edgeLabel = new Uint32Array(edgeCount);
      this.#edgeTo = new Uint32Array(edgeCount);
    } catch {
      throw new SnapshotError(
        'WSGUARD_SNAPSHOT_TOO_LARGE',
        `not enough memory for ${nodeCount} nodes and ${edgeCount} edges`,
      );
    }
  }

  numbers(section: NumberSection, values: Float64Array, count: number): void {
    if (section === 'nodes') this.#addNodes(values, count);
    else if (section === 'edges') this.#addEdges(values, count);
    else this.#addLocations(values, count);
  }

  sectionEnd(name: string): void {
    if (name === 'nodes') {
      this.#row = 0;
      this.#ownerEnd = this.#firstEdge[1]!;
      if (this.#edgeSum !== this.#header!.edgeCount) {
        throw new SnapshotError(
          'WSGUARD_SNAPSHOT_COUNTS',
          `the nodes have ${this.#edgeSum} edges in total, the header says ${this.#header!.edgeCount}`,
        );
      }
    } else if (name === 'edges') {
      this.#endEdges();
      this.#markScriptNames();
    } else if (name === 'strings' && this.#names.count <= this.#highestName) {
      throw new SnapshotError(
        'WSGUARD_SNAPSHOT_STRINGS',
        `a name has the index ${this.#highestName}, but there are only ${this.#names.count} strings`,
      );
    }
  }

  string(index: number, data: Uint8Array, start: number, end: number): void {
    if (index > this.#highestName + MAX_SURPLUS_STRINGS) {
      throw new SnapshotError(
        'WSGUARD_SNAPSHOT_STRINGS',
        `there are more than ${index} strings, but the highest name has the index ${this.#highestName}`,
      );
    }
    const isName = this.#names.store(index, data, start, end);
    if (!isName || end - start < MIN_EPHEMERON_BYTES || !isDigit(data[start]!)) return;
    const table = EPHEMERON.exec(decodeString(data, start, end))?.[1];
    if (table !== undefined) this.#ephemerons.set(index, Number(table));
  }

  finish(): Heap {
    this.#weakenEphemerons();
    this.#weakenCleanupQueues();
    return {
      nodeCount: this.#nodeType.length,
      edgeCount: this.#edgeTo.length,
      nodeType: this.#nodeType,
      nodeName: this.#nodeName,
      nodeId: this.#nodeId,
      selfSize: this.#selfSize,
      hugeSizes: this.#hugeSizes,
      firstEdge: this.#firstEdge,
      edgeLabel: this.#edgeLabel,
      edgeTo: this.#edgeTo,
      names: this.#names,
      locations: this.#locations.sorted(),
      selfBytes: this.#selfBytes,
    };
  }

  #addNodes(values: Float64Array, count: number): void {
    const { nodeFields, node } = this.#header!.layout;
    const {
      type: typeField,
      name: nameField,
      id: idField,
      selfSize: sizeField,
      edgeCount: edgesField,
    } = node;
    const nodeTypes = this.#nodeTypes;
    const nodeType = this.#nodeType;
    const nodeName = this.#nodeName;
    const nodeId = this.#nodeId;
    const selfSize = this.#selfSize;
    const firstEdge = this.#firstEdge;
    const names = this.#names;
    const maxNames = this.#maxNames;
    let row = this.#row;
    let edgeSum = this.#edgeSum;
    let selfBytes = this.#selfBytes;
    let highestName = this.#highestName;
    for (let offset = 0; offset < count; offset += nodeFields, row += 1) {
      const type = nodeTypes[values[offset + typeField]!];
      if (type === undefined) throw unlistedType('node', values[offset + typeField]!);
      const name = values[offset + nameField]!;
      const size = values[offset + sizeField]!;
      if (name > highestName) {
        if (name > maxNames) throw nameOutOfRange(name);
        highestName = name;
      }
      nodeType[row] = type;
      nodeName[row] = name;
      nodeId[row] = values[offset + idField]!;
      selfSize[row] = size < HUGE_SIZE ? size : HUGE_SIZE;
      if (size >= HUGE_SIZE) this.#hugeSizes.set(row, size);
      if (type !== STRING && type !== CONCATENATED && type !== SLICED) {
        names.markUsed(name);
      }
      edgeSum += values[offset + edgesField]!;
      firstEdge[row + 1] = edgeSum;
      selfBytes += size;
    }
    this.#row = row;
    this.#edgeSum = edgeSum;
    this.#selfBytes = selfBytes;
    this.#highestName = highestName;
  }

  #addEdges(values: Float64Array, count: number): void {
    const { edgeFields, edge, nodeFields } = this.#header!.layout;
    const { type: typeField, nameOrIndex: nameField, toNode: toField } = edge;
    const edgeTypes = this.#edgeTypes;
    const edgeLabel = this.#edgeLabel;
    const edgeTo = this.#edgeTo;
    const names = this.#names;
    const maxNames = this.#maxNames;
    const withShapes = this.#withShapes;
    const nodeType = this.#nodeType;
    const firstEdge = this.#firstEdge;
    const nodeCount = nodeType.length;
    let [owner, ownerEnd, kept] = [this.#owner, this.#ownerEnd, this.#edges];
    const perField = 1 / nodeFields;
    let row = this.#row;
    let highestName = this.#highestName;
    for (let offset = 0; offset < count; offset += edgeFields, row += 1) {
      const type = edgeTypes[values[offset + typeField]!];
      if (type === undefined) throw unlistedType('edge', values[offset + typeField]!);
      let name = values[offset + nameField]!;
      const target = values[offset + toField]!;
      if (isNamedEdge(type)) {
        if (name > highestName) {
          if (name > maxNames) throw nameOutOfRange(name);
          highestName = name;
        }
        names.markUsed(name);
      } else if (name > MAX_LABEL_NAME) name = MAX_LABEL_NAME;
      while (row === ownerEnd) {
        firstEdge[owner + 1] = kept;
        owner += 1;
        ownerEnd = firstEdge[owner + 1]!;
      }
      // A multiplication takes a third of the time of a division. The check below refuses offsets inside a row.
      const to = (target * perField + 0.5) >>> 0;
      if (to * nodeFields !== target || to >= nodeCount) {
        throw new SnapshotError('WSGUARD_SNAPSHOT_EDGES', `edge ${row} points to ${target}`);
      }
      const from = nodeType[owner]!;
      if (
        !withShapes &&
        (from === STRING || from === NUMBER || (type === INTERNAL && nodeType[to] === SHAPE))
      )
        continue;
      edgeLabel[kept] = (name << TYPE_BITS) | type;
      edgeTo[kept] = to;
      kept += 1;
    }
    this.#row = row;
    this.#highestName = highestName;
    [this.#owner, this.#ownerEnd, this.#edges] = [owner, ownerEnd, kept];
  }

  #endEdges(): void {
    this.#firstEdge.fill(this.#edges, this.#owner + 1);
    this.#edgeLabel = this.#edgeLabel.subarray(0, this.#edges);
    this.#edgeTo = this.#edgeTo.subarray(0, this.#edges);
  }

  #addLocations(values: Float64Array, count: number): void {
    const { locationFields, location, nodeFields } = this.#header!.layout;
    const { node, scriptId, line, column } = this.#locations;
    for (let offset = 0; offset < count; offset += locationFields) {
      const index = values[offset + location!.objectIndex]! / nodeFields;
      if (!Number.isInteger(index) || index >= this.#nodeType.length) {
        throw new SnapshotError('WSGUARD_SNAPSHOT_EDGES', `a location points to the node ${index}`);
      }
      node.push(index);
      scriptId.push(values[offset + location!.scriptId]!);
      line.push(values[offset + location!.line]!);
      column.push(values[offset + location!.column]!);
    }
  }

  /** Script and function names are string values that `code` nodes (Script, SharedFunctionInfo) point to. */
  #markScriptNames(): void {
    const nodeType = this.#nodeType;
    const firstEdge = this.#firstEdge;
    const edgeTo = this.#edgeTo;
    for (let node = 0; node < nodeType.length; node += 1) {
      if (nodeType[node] !== NODE.code) continue;
      for (let edge = firstEdge[node]!; edge < firstEdge[node + 1]!; edge += 1) {
        const to = edgeTo[edge]!;
        if (nodeType[to] === NODE.string) this.#names.markUsed(this.#nodeName[to]!);
      }
    }
  }

  /** A WeakMap's value lives as long as its key. V8 writes an edge from the key and one from the table; the latter is weak. */
  #weakenEphemerons(): void {
    const ephemerons = this.#ephemerons;
    const tables = new Set(ephemerons.values());
    // Most nodes are no table, and one byte for each remainder excludes nearly all of them faster than the set does.
    const mayBeTable = new Uint8Array(1 << TABLE_BITS);
    for (const id of tables) mayBeTable[id & TABLE_MASK] = 1;
    const firstEdge = this.#firstEdge;
    const edgeLabel = this.#edgeLabel;
    const nodeId = this.#nodeId;
    for (let node = 0; node < nodeId.length && tables.size > 0; node += 1) {
      const id = nodeId[node]!;
      if (mayBeTable[id & TABLE_MASK] === 0 || !tables.has(id)) continue;
      for (let edge = firstEdge[node]!; edge < firstEdge[node + 1]!; edge += 1) {
        const label = edgeLabel[edge]!;
        if ((label & EDGE_TYPE_MASK) !== EDGE.internal) continue;
        if (ephemerons.get(label >>> EDGE_TYPE_BITS) === id)
          edgeLabel[edge] = (label & ~EDGE_TYPE_MASK) | EDGE.weak;
      }
    }
  }

  /**
   * Node lists all its native objects in a queue for the end of the process, also those with a weak handle: streams of the web, hashes,
   * compression contexts. The list keeps none of them alive. A strong handle is an edge of the global handles.
   */
  #weakenCleanupQueues(): void {
    const queue = this.#names.indexOf('Node / CleanupQueue');
    const nodeName = this.#nodeName;
    for (let node = 0; queue >= 0 && node < nodeName.length; node += 1) {
      if (nodeName[node] !== queue) continue;
      for (let edge = this.#firstEdge[node]!; edge < this.#firstEdge[node + 1]!; edge += 1)
        this.#edgeLabel[edge] = (this.#edgeLabel[edge]! & ~EDGE_TYPE_MASK) | EDGE.weak;
    }
  }
}

/** Rows of the `locations` section: a few for each function and object, a small part of the file. */
class LocationRows {
  readonly node: number[] = [];
  readonly scriptId: number[] = [];
  readonly line: number[] = [];
  readonly column: number[] = [];

  /** V8 writes them in the order of its traversal; `locationIndex` needs them sorted by node. */
  sorted(): Locations {
    // Without a function that compares, a typed array is sorted ten times as fast. Node and row fit into 53 bits. `from` with a
    // function takes five times as long as a loop.
    const rows = this.node.length;
    const keys = new Float64Array(rows);
    for (let row = 0; row < rows; row += 1) keys[row] = this.node[row]! * rows + row;
    keys.sort();
    const column = (values: readonly number[]): Uint32Array => {
      const sorted = new Uint32Array(rows);
      for (let index = 0; index < rows; index += 1) sorted[index] = values[keys[index]! % rows]!;
      return sorted;
    };
    return {
      node: column(this.node),
      scriptId: column(this.scriptId),
      line: column(this.line),
      column: column(this.column),
    };
  }
}

/** Type numbers of the file -> numbers of `NODE` or `EDGE`. */
function typeNumbers(
  names: readonly string[],
  numbers: Readonly<Record<string, number>>,
  other: number,
): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(names, (name) => numbers[name] ?? other);
}

const unlistedType = (what: string, type: number): SnapshotError =>
  new SnapshotError(
    'WSGUARD_SNAPSHOT_META',
    `a ${what} has the type ${type}, which the header does not list`,
  );

const nameOutOfRange = (index: number): SnapshotError =>
  new SnapshotError('WSGUARD_SNAPSHOT_STRINGS', `a name has the index ${index}`);

const isDigit = (byte: number): boolean => byte >= 48 && byte <= 57;
