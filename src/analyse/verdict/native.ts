import type { Suspect } from '../../types/index.ts';
import type { Census } from '../compare/census.ts';
import { findCreator } from '../locate/creators.ts';
import type { Comparison } from './describe.ts';
import { NODE, nodeText, sizeOf } from '../graph/heap.ts';
import type { Heap } from '../graph/heap.ts';
import { pathText, stepsTo } from '../locate/path.ts';
import { toLocation } from '../locate/sources.ts';

const LEAST_OBJECTS = 50;
/** Of three snapshots: what was gained since the middle one, of all that was gained. */
const PLATEAU_SHARE = 0.1;
const MOST_SAMPLE = 200;
/** What a connection is to libuv, as Node 20 and as later ones write it. */
const CONNECTIONS = ['Node / TCPSocketWrap', 'Node / TCPWrap', 'Node / PipeWrap'];
const CONNECTIONS_SHARE = 0.2;
const LEAST_CONNECTIONS = 100;
/** Node's own bookkeeping, which grows a little with each module and each snapshot. */
const OF_NODE =
  /std::|Aliased|BindingData|ModuleWrap|cache|Environment|Realm|nspector|ContextifyScript|^Node \/ pair|parser_buffer|CompiledFnEntry|SnapshotStream|cleanup/i;

/**
 * Native objects that pile up although nothing in JavaScript grew: open sockets that no code keeps a list of, zlib and
 * TLS contexts. Asked only when no container was found, since those account for what their entries own.
 */
export function findNative({ graph, first, sources, censuses }: Comparison, earlier: Census): Suspect[] {
  const byName = tallyNative(graph.heap, first.before);
  const gainedOf = (name: string): number =>
    (byName.get(name)?.now ?? 0) - (earlier.get(`native ${name}`)?.objects ?? 0);
  const connections = Math.max(...CONNECTIONS.map(gainedOf));
  const suspects: Suspect[] = [];
  for (const [name, { nodes, bytes }] of byName) {
    const gained = gainedOf(name);
    if (gained < LEAST_OBJECTS || nodes.length < LEAST_OBJECTS) continue;
    const between = censuses?.middle?.get(`native ${name}`)?.objects;
    // More clients than at first, and no more since.
    if (between !== undefined && byName.get(name)!.now - between <= gained * PLATEAU_SHARE) continue;
    // Each open connection has its TLS and zlib contexts: more of both is more clients.
    const isConnection = CONNECTIONS.includes(name);
    if (isConnection ? gained < LEAST_CONNECTIONS : connections >= gained * CONNECTIONS_SHARE) continue;
    const place = findCreator(graph, first.before, nodes);
    suspects.push({
      ...EMPTY,
      name: name.replace(/^(Node|system) \/ /, ''),
      type: name.includes('ArrayBuffer') ? 'ArrayBuffers' : isConnection ? 'Handles' : 'Native',
      path: pathText(graph, stepsTo(graph.heap, graph.reach, nodes[0]!)),
      location: place === null ? null : toLocation(place, sources),
      objects: gained,
      retainedBytes: bytes,
      growth: { objects: gained, bytes },
      confidence: place === null ? 0.4 : 0.5,
      entries: name,
    });
  }
  return suspects.sort((a, b) => b.objects - a.objects).map((suspect, at) => ({ ...suspect, rank: at + 1 }));
}

const EMPTY = {
  rank: 0,
  containers: 1,
  example: [],
  otherRetainers: [],
  notes: ['no container in JavaScript grew: the engine or the event loop holds them'],
  known: null,
  steps: [],
  shared: [],
};

interface NativeTally {
  /** New ones, a sample. */
  readonly nodes: number[];
  bytes: number;
  /** Old and new. */
  now: number;
}

function tallyNative(heap: Heap, before: Uint32Array | Uint8Array): ReadonlyMap<string, NativeTally> {
  const byName = new Map<string, NativeTally>();
  for (let node = 1; node < heap.nodeCount; node++) {
    const name = nativeName(heap, node);
    if (name === null) continue;
    const tally = byName.get(name) ?? { nodes: [], bytes: 0, now: 0 };
    byName.set(name, tally);
    tally.now++;
    if (before[node] !== 0) continue;
    tally.bytes += sizeOf(heap, node);
    if (tally.nodes.length < MOST_SAMPLE) tally.nodes.push(node);
  }
  return byName;
}

/** Wrappers of handles are `synthetic` in Node 20's files and `native` in later ones. */
function nativeName(heap: Heap, node: number): string | null {
  const type = heap.nodeType[node];
  if (type !== NODE.native && type !== NODE.synthetic) return null;
  const name = nodeText(heap, node);
  return /^(Node|system) \/ /.test(name) && !OF_NODE.test(name) ? name : null;
}
