import { SnapshotError } from '../../heapsnapshot/errors.ts';
import { decodeString } from '../../heapsnapshot/json.ts';
import type { SnapshotHeader } from '../../heapsnapshot/meta.ts';
import type { NumberSection, SnapshotSink } from '../../heapsnapshot/sink.ts';
import { EDGE, EDGE_BITS, EDGE_MASK, HUGE_SIZE, MAX_LABEL, NODE, isNamed, numbering } from './heap.ts';
import type { Heap } from './heap.ts';
import { LocationRows } from './locations.ts';
import { Names } from './names.ts';
import { LONGEST_WORD, WORDS } from './words.ts';

// Used for every node or edge: an imported name is looked up at each use.
const LABEL_BITS = EDGE_BITS;
const HIGHEST_LABEL = MAX_LABEL;
const { string: STRING, 'concatenated string': CONCATENATED, 'sliced string': SLICED } = NODE;
const EPHEMERON = / \/ part of key \(.*@\d+\) -> value \(.*@\d+\) pair in WeakMap \(table @(\d+)\)$/s;
const EPHEMERON_LEAST_BYTES = 50;
/** A row cannot be shorter than a digit and a comma for each field. */
const LEAST_BYTES_A_VALUE = 2;
const MOST_VALUES_A_BYTE = 1000;
/** Beyond one name a node and an edge: a few that only allocation traces use. */
const MOST_SURPLUS_STRINGS = 1 << 20;

/** Fills the columns of a `Heap` while the tokenizer reads. `sizeBytes` is what the file can hold at most. */
export class HeapBuilder implements SnapshotSink {
  private readonly sizeBytes: number;
  private header_: SnapshotHeader | null = null;
  private nodeTypes = new Uint8Array(0);
  private edgeTypes = new Uint8Array(0);
  private row = 0;
  private edgeSum = 0;
  private selfBytes = 0;
  private readonly hugeSizes = new Map<number, number>();
  private names = new Names(0);
  private mostNames = 0;
  private highestName = 0;
  /** String index of an ephemeron edge's name -> id of the WeakMap's table. */
  private readonly ephemerons = new Map<number, number>();
  private nodeType = new Uint8Array(0);
  private nodeName = new Uint32Array(0);
  private nodeId = new Uint32Array(0);
  private selfSize = new Uint32Array(0);
  private firstEdge = new Uint32Array(0);
  private edgeLabel = new Uint32Array(0);
  private edgeTo = new Uint32Array(0);
  private readonly locations = new LocationRows();

  constructor(sizeBytes = Infinity) {
    this.sizeBytes = sizeBytes;
  }

  header(header: SnapshotHeader): void {
    const { layout, nodeCount, edgeCount } = header;
    const values = nodeCount * layout.nodeFields + edgeCount * layout.edgeFields;
    if (values * LEAST_BYTES_A_VALUE > this.sizeBytes || nodeCount === 0) {
      // A copy that broke off is the usual reason; a count beyond all reason is another.
      const isCut = nodeCount > 0 && values < this.sizeBytes * MOST_VALUES_A_BYTE;
      throw new SnapshotError(
        isCut ? 'WSGUARD_SNAPSHOT_TRUNCATED' : 'WSGUARD_SNAPSHOT_COUNTS',
        `${nodeCount} nodes and ${edgeCount} edges are promised, more than the file can hold`,
      );
    }
    this.header_ = header;
    this.mostNames = Math.min(nodeCount + edgeCount + MOST_SURPLUS_STRINGS, MAX_LABEL);
    this.nodeTypes = numbering(layout.nodeTypes, NODE, NODE.other);
    this.edgeTypes = numbering(layout.edgeTypes, EDGE, EDGE.other);
    try {
      this.names = new Names(this.mostNames);
      this.nodeType = new Uint8Array(nodeCount);
      this.nodeName = new Uint32Array(nodeCount);
      this.nodeId = new Uint32Array(nodeCount);
      this.selfSize = new Uint32Array(nodeCount);
      this.firstEdge = new Uint32Array(nodeCount + 1);
      this.edgeLabel = new Uint32Array(edgeCount);
      this.edgeTo = new Uint32Array(edgeCount);
    } catch {
      throw new SnapshotError(
        'WSGUARD_SNAPSHOT_TOO_LARGE',
        `no memory for ${nodeCount} nodes and ${edgeCount} edges`,
      );
    }
  }

  numbers(section: NumberSection, values: Float64Array, count: number): void {
    if (section === 'nodes') this.takeNodes(values, count);
    else if (section === 'edges') this.takeEdges(values, count);
    else this.takeLocations(values, count);
  }

  sectionEnd(name: string): void {
    if (name === 'nodes') {
      this.row = 0;
      if (this.edgeSum !== this.header_!.edgeCount) {
        throw new SnapshotError('WSGUARD_SNAPSHOT_COUNTS', 'the nodes have another number of edges in sum');
      }
    } else if (name === 'edges') this.wantScriptNames();
    else if (name === 'strings' && this.names.count <= this.highestName) {
      throw new SnapshotError('WSGUARD_SNAPSHOT_STRINGS', 'names point behind the end of the strings');
    }
  }

  string(index: number, data: Uint8Array, start: number, end: number): void {
    if (index > this.highestName + MOST_SURPLUS_STRINGS) {
      throw new SnapshotError('WSGUARD_SNAPSHOT_STRINGS', 'far more strings than anything refers to');
    }
    this.names.keep(index, data, start, end);
    if (!this.names.has(index)) return;
    const length = end - start;
    if (length <= LONGEST_WORD) {
      const text = decodeString(data, start, end);
      if (WORDS.has(text)) this.names.learnWord(text, index);
    } else if (length >= EPHEMERON_LEAST_BYTES && isDigit(data[start]!)) {
      const table = EPHEMERON.exec(decodeString(data, start, end))?.[1];
      if (table !== undefined) this.ephemerons.set(index, Number(table));
    }
  }

  finish(): Heap {
    this.weakenEphemerons();
    return {
      nodeCount: this.nodeType.length,
      edgeCount: this.edgeTo.length,
      nodeType: this.nodeType,
      nodeName: this.nodeName,
      nodeId: this.nodeId,
      selfSize: this.selfSize,
      hugeSizes: this.hugeSizes,
      firstEdge: this.firstEdge,
      edgeLabel: this.edgeLabel,
      edgeTo: this.edgeTo,
      names: this.names,
      locations: this.locations.sorted(),
      selfBytes: this.selfBytes,
    };
  }

  private takeNodes(values: Float64Array, count: number): void {
    const { nodeFields, node } = this.header_!.layout;
    const { type: typeAt, name: nameAt, id: idAt, selfSize: sizeAt, edgeCount: edgesAt } = node;
    const { nodeTypes, nodeType, nodeName, nodeId, selfSize, firstEdge, names, mostNames } = this;
    let { row, edgeSum, selfBytes, highestName } = this;
    for (let at = 0; at < count; at += nodeFields, row++) {
      const type = nodeTypes[values[at + typeAt]!];
      if (type === undefined) throw badType('node', values[at + typeAt]!);
      const name = values[at + nameAt]!;
      const size = values[at + sizeAt]!;
      if (name > highestName) {
        if (name > mostNames) throw badName(name);
        highestName = name;
      }
      nodeType[row] = type;
      nodeName[row] = name;
      nodeId[row] = values[at + idAt]!;
      selfSize[row] = size < HUGE_SIZE ? size : HUGE_SIZE;
      if (size >= HUGE_SIZE) this.hugeSizes.set(row, size);
      if (type !== STRING && type !== CONCATENATED && type !== SLICED) {
        names.want(name);
      }
      edgeSum += values[at + edgesAt]!;
      firstEdge[row + 1] = edgeSum;
      selfBytes += size;
    }
    this.row = row;
    this.edgeSum = edgeSum;
    this.selfBytes = selfBytes;
    this.highestName = highestName;
  }

  private takeEdges(values: Float64Array, count: number): void {
    const { edgeFields, edge, nodeFields } = this.header_!.layout;
    const { type: typeAt, nameOrIndex: nameAt, toNode: toAt } = edge;
    const { edgeTypes, edgeLabel, edgeTo, names, mostNames } = this;
    const nodeCount = this.nodeType.length;
    const perField = 1 / nodeFields;
    let { row, highestName } = this;
    for (let at = 0; at < count; at += edgeFields, row++) {
      const type = edgeTypes[values[at + typeAt]!];
      if (type === undefined) throw badType('edge', values[at + typeAt]!);
      let name = values[at + nameAt]!;
      const target = values[at + toAt]!;
      if (isNamed(type)) {
        if (name > highestName) {
          if (name > mostNames) throw badName(name);
          highestName = name;
        }
        names.want(name);
      } else if (name > HIGHEST_LABEL) name = HIGHEST_LABEL;
      // A product is a third of a quotient; that it came out whole is checked behind it.
      const to = (target * perField + 0.5) >>> 0;
      if (to * nodeFields !== target || to >= nodeCount) {
        throw new SnapshotError('WSGUARD_SNAPSHOT_EDGES', `edge ${row} points to ${target}`);
      }
      edgeLabel[row] = (name << LABEL_BITS) | type;
      edgeTo[row] = to;
    }
    this.row = row;
    this.highestName = highestName;
  }

  private takeLocations(values: Float64Array, count: number): void {
    const { locationFields, location, nodeFields } = this.header_!.layout;
    const { node, scriptId, line, column } = this.locations;
    for (let at = 0; at < count; at += locationFields) {
      const index = values[at + location!.objectIndex]! / nodeFields;
      if (!Number.isInteger(index) || index >= this.nodeType.length) {
        throw new SnapshotError('WSGUARD_SNAPSHOT_EDGES', 'a location points outside the nodes');
      }
      node.push(index);
      scriptId.push(values[at + location!.scriptId]!);
      line.push(values[at + location!.line]!);
      column.push(values[at + location!.column]!);
    }
  }

  /** Script and function names are string values, pointed to by `code` nodes (Script, SharedFunctionInfo). */
  private wantScriptNames(): void {
    const { nodeType, firstEdge, edgeTo, nodeName, names } = this;
    for (let node = 0; node < nodeType.length; node++) {
      if (nodeType[node] !== NODE.code) continue;
      for (let edge = firstEdge[node]!; edge < firstEdge[node + 1]!; edge++) {
        const to = edgeTo[edge]!;
        if (nodeType[to] === NODE.string) names.want(nodeName[to]!);
      }
    }
  }

  /** A WeakMap's value lives as long as its key: V8 writes an edge from each, and the table's must not count. */
  private weakenEphemerons(): void {
    const { ephemerons, firstEdge, edgeLabel, nodeId } = this;
    if (ephemerons.size === 0) return;
    for (let node = 0; node < nodeId.length; node++) {
      for (let edge = firstEdge[node]!; edge < firstEdge[node + 1]!; edge++) {
        const label = edgeLabel[edge]!;
        if ((label & EDGE_MASK) !== EDGE.internal) continue;
        if (ephemerons.get(label >>> EDGE_BITS) === nodeId[node])
          edgeLabel[edge] = (label & ~EDGE_MASK) | EDGE.weak;
      }
    }
  }
}

const badType = (what: string, type: number): SnapshotError =>
  new SnapshotError(
    'WSGUARD_SNAPSHOT_META',
    `a ${what} has the type ${type}, which the header does not list`,
  );

const badName = (index: number): SnapshotError =>
  new SnapshotError('WSGUARD_SNAPSHOT_STRINGS', `a name has the index ${index}`);

const isDigit = (byte: number): boolean => byte >= 48 && byte <= 57;
