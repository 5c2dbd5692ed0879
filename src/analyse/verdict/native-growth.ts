/** Native objects that accumulate although no JavaScript container grew. */
import type { Suspect } from '../../types/index.ts';
import { nativeKey } from '../compare/census.ts';
import type { Census } from '../compare/census.ts';
import { NODE, nodeText, sizeOf } from '../graph/heap.ts';
import type { Heap } from '../graph/heap.ts';
import { pathText, stepsTo } from '../graph/retaining-path.ts';
import { findCreator } from '../locate/creator.ts';
import { toLocation } from '../locate/sources.ts';
import type { Comparison } from './describe-suspect.ts';

const MIN_OBJECTS = 50;
/** Growth since the middle snapshot, as a share of all growth. Up to this share it is a plateau. */
const MAX_PLATEAU_SHARE = 0.1;
const MAX_SAMPLE = 200;
/** Names of a connection's handle in Node 20 and in later versions. */
const CONNECTION_HANDLES = ['Node / TCPSocketWrap', 'Node / TCPWrap', 'Node / PipeWrap'];
/**
 * An open connection has TLS and zlib contexts of its own. When the new connections are at least this share of the gained
 * objects, the objects belong to them.
 */
const MIN_CONNECTIONS_SHARE = 0.2;
const MIN_CONNECTIONS = 100;
/** Objects of Node itself. A few are added with each module and each snapshot. */
const NODE_INTERNALS =
  /std::|Aliased|BindingData|ModuleWrap|cache|Environment|Realm|nspector|ContextifyScript|^Node \/ pair|parser_buffer|CompiledFnEntry|SnapshotStream|cleanup/i;

/**
 * Open sockets that no code refers to, zlib and TLS contexts. Call it only when no container grew: the native objects of
 * a container's entries belong to that container.
 */
export function findNativeGrowth(
  { graph, first, sources, censuses }: Comparison,
  earlier: Census,
): Suspect[] {
  const byName = countNative(graph.heap, first.earlierNode);
  const gainedOf = (name: string): number =>
    (byName.get(name)?.total ?? 0) - (earlier.get(nativeKey(name))?.objects ?? 0);
  const gainedConnections = Math.max(...CONNECTION_HANDLES.map(gainedOf));
  const suspects: Suspect[] = [];
  for (const [name, { nodes, bytes, total }] of byName) {
    const gained = gainedOf(name);
    if (gained < MIN_OBJECTS || nodes.length < MIN_OBJECTS) continue;
    const inMiddle = censuses?.middle?.get(nativeKey(name))?.objects;
    if (inMiddle !== undefined && total - inMiddle <= gained * MAX_PLATEAU_SHARE) continue;
    const isConnection = CONNECTION_HANDLES.includes(name);
    const isExplained = isConnection
      ? gained < MIN_CONNECTIONS
      : gainedConnections >= gained * MIN_CONNECTIONS_SHARE;
    if (isExplained) continue;
    const position = findCreator(graph, first.earlierNode, nodes);
    suspects.push({
      ...DEFAULTS,
      name: name.replace(/^(Node|system) \/ /, ''),
      type: name.includes('ArrayBuffer') ? 'ArrayBuffers' : isConnection ? 'Handles' : 'Native',
      path: pathText(graph, stepsTo(graph.heap, graph.paths, nodes[0]!)),
      location: position === null ? null : toLocation(position, sources),
      objects: gained,
      retainedBytes: bytes,
      growth: { objects: gained, bytes },
      confidence: position === null ? 0.4 : 0.5,
      entries: name,
    });
  }
  return suspects
    .sort((a, b) => b.objects - a.objects)
    .map((suspect, index) => ({ ...suspect, rank: index + 1 }));
}

const DEFAULTS = {
  rank: 0,
  containers: 1,
  example: [],
  otherRetainers: [],
  notes: ['no JavaScript container grew: the engine or the event loop retains these objects'],
  known: null,
  steps: [],
  shared: [],
};

interface NativeCount {
  /** A sample of the new objects. */
  readonly nodes: number[];
  /** Self size of the new objects. */
  bytes: number;
  /** Number of old and new objects. */
  total: number;
}

function countNative(heap: Heap, earlierNode: Uint32Array | Uint8Array): ReadonlyMap<string, NativeCount> {
  const byName = new Map<string, NativeCount>();
  for (let node = 1; node < heap.nodeCount; node += 1) {
    const name = nativeName(heap, node);
    if (name === null) continue;
    const count = byName.get(name) ?? { nodes: [], bytes: 0, total: 0 };
    byName.set(name, count);
    count.total += 1;
    if (earlierNode[node] !== 0) continue;
    count.bytes += sizeOf(heap, node);
    if (count.nodes.length < MAX_SAMPLE) count.nodes.push(node);
  }
  return byName;
}

/** Wrappers of handles have the type `synthetic` in files of Node 20 and `native` in later ones. */
function nativeName(heap: Heap, node: number): string | null {
  const type = heap.nodeType[node];
  if (type !== NODE.native && type !== NODE.synthetic) return null;
  const name = nodeText(heap, node);
  return /^(Node|system) \/ /.test(name) && !NODE_INTERNALS.test(name) ? name : null;
}
