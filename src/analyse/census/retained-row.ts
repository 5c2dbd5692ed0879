/**
 * `retainedConnectionsRow`: all closed connections of a heap as one row. Something retains them, also where no container of
 * the census does: functions that wrap each other, records that refer to the one before.
 */
import type { ContainerRow } from '../../types/index.ts';
import type { AcceptedSockets } from '../compare/connections.ts';
import { pathParent } from '../graph/graph.ts';
import type { Graph } from '../graph/graph.ts';
import { NODE, NONE } from '../graph/heap.ts';
import { isPackageFile, type CodePosition } from '../graph/scripts.ts';
import { unwrapFunction } from '../locate/creator.ts';
import { toLocation } from '../locate/sources.ts';
import type { Sources } from '../locate/sources.ts';
import { mostFrequent } from './path-code.ts';

type PathGraph = Pick<Graph, 'heap' | 'paths' | 'scripts'>;

/** The number of entries that a census samples of a container. */
const MAX_SAMPLE = 24;
/** Bounds a walk. The longest path of the checked servers, through GraphQL subscriptions, has 40 references. */
const MAX_STEPS = 200;

/** `sources` is null for a census that no growth can be read from. */
export function retainedConnectionsRow(
  graph: PathGraph,
  { nodes, isClosed }: AcceptedSockets,
  sources: Sources | null,
): ContainerRow {
  const closed = [...nodes].filter((_, index) => isClosed[index] === 1);
  const step = Math.max(1, Math.ceil(closed.length / MAX_SAMPLE));
  const sample = sources === null ? [] : closed.filter((_, index) => index % step === 0);
  const position = mostFrequent(sample.map((socket) => retainingCode(graph, socket)));
  return {
    key: 'closed connections',
    type: 'Connections',
    owner: 'application',
    name: 'closed connections',
    path: [],
    containers: 1,
    entries: closed.length,
    largest: closed.length,
    bytes: 0,
    sampled: sample.length,
    closed: sample.length,
    open: 0,
    location: position === null || sources === null ? null : toLocation(position, sources),
    expected: null,
    removedAfterMs: null,
    removal: null,
  };
}

/** The application's function nearest to the connection on its shortest path, else the class, else code of a package. */
function retainingCode({ heap, paths, scripts }: PathGraph, socket: number): CodePosition | null {
  let ofClass: CodePosition | null = null;
  let ofPackage: CodePosition | null = null;
  let node = pathParent(heap, paths, socket);
  for (let steps = 0; node !== NONE && steps < MAX_STEPS; steps += 1) {
    const code = unwrapFunction(heap, node);
    const position = scripts.userPosition(code);
    node = pathParent(heap, paths, node);
    if (position === null || scripts.isAgentFile(position.file)) continue;
    if (isPackageFile(position.file)) ofPackage = position;
    else if (heap.nodeType[code] === NODE.closure) return position;
    else ofClass ??= position;
  }
  return ofClass ?? ofPackage;
}
