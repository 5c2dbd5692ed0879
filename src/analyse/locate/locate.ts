import type { SuspectType } from '../../types/index.ts';
import { findAddLine, isNamedBefore } from './add-line.ts';
import { findCreator, unwrap } from './creators.ts';
import type { Group } from '../compare/fold.ts';
import type { Graph } from '../graph/graph.ts';
import { findOwner } from './owner.ts';
import type { Owner } from './owner.ts';
import { className } from './path.ts';
import type { Step } from './path.ts';
import { EDGE, EDGE_MASK, NODE, edgeText } from '../graph/heap.ts';
import { isPackageFile } from './scripts.ts';
import type { Place } from './scripts.ts';
import { isContext } from './variable.ts';
import type { Sources } from './sources.ts';

/** What a line is sought for. */
export interface Wanted {
  readonly group: Group;
  readonly type: SuspectType;
  /** Some of the entries. */
  readonly sample: readonly number[];
}

/** Their functions are what was added, so their own line is the one to look at. */
const FUNCTIONS: readonly SuspectType[] = ['Listeners', 'Timers', 'Promises', 'List'];

export interface Located {
  /** The line to look at: who adds, else who holds, else what is near. */
  readonly place: Place | null;
  /** Who made the entries, when it is someone else. */
  readonly maker: Place | null;
}

export function locate(
  graph: Graph,
  before: Uint32Array | Uint8Array | null,
  sources: Sources,
  wanted: Wanted,
): Located {
  const { group, type, sample } = wanted;
  if (type === 'Listeners' && isOfNode(graph, sample[0])) {
    // `source.pipe(response)`, `for await (… of on(hub, …))`: the call is what can be changed.
    const owner = findOwner(graph, group.steps);
    const call = owner === null ? null : addingPlace(graph, owner, sources);
    if (call !== null) return { place: call, maker: null };
  }
  const added =
    inChain(graph, wanted) ?? (FUNCTIONS.includes(type) ? findCreator(graph, before, sample, ADDED) : null);
  if (FUNCTIONS.includes(type) && added !== null) return { place: added, maker: null };
  const maker = added ?? findCreator(graph, before, sample);
  const place = holderPlace(graph, sources, group, maker);
  if (place === null) return { place: maker ?? nearby(graph, group), maker: null };
  const isSame = maker === null || (maker.file === place.file && maker.line === place.line);
  return { place, maker: isSame ? null : maker };
}
const isOfNode = ({ heap, scripts }: Graph, listener: number | undefined): boolean =>
  listener !== undefined &&
  heap.nodeType[listener] === NODE.closure &&
  scripts.userPlace(unwrap(heap, listener)) === null;

const ADDED = { depth: 8, visits: 400, packagePenalty: 4, functionsOnly: true };

function holderPlace(graph: Graph, sources: Sources, { steps }: Group, maker: Place | null): Place | null {
  const owner = findOwner(graph, steps);
  if (owner === null) return ofGlobal(graph, sources, steps, maker);
  const adding = addingPlace(graph, owner, sources);
  if (adding !== null) return adding;
  const isOwnCode = maker !== null && !isPackageFile(maker.file);
  return isOwnCode && isPackageFile(owner.place.file) ? maker : owner.place;
}

/** A property of `globalThis` may be filled in any file; the one that makes the entries is the likeliest. */
function ofGlobal(graph: Graph, sources: Sources, steps: readonly Step[], maker: Place | null): Place | null {
  const at = steps.findIndex(({ node }) => className(graph.heap, node) === 'globalThis');
  const first = steps[at + 1];
  if (at < 0 || first === undefined || (graph.heap.edgeLabel[first.edge]! & EDGE_MASK) !== EDGE.property)
    return null;
  const files = graph.scripts.userFiles().filter((file) => !isPackageFile(file));
  const names = [edgeText(graph.heap, first.edge)];
  for (const file of [...(maker === null ? [] : [maker.file]), ...files.slice(0, MOST_FILES)]) {
    const place = { file, line: 1, column: 1, function: null };
    const adding = addingPlace(graph, { place, names, inside: 0, parents: [] }, sources);
    if (adding !== null) return adding;
  }
  return null;
}
const MOST_FILES = 200;

/** Who holds it, and nothing else. */
export function locateOwner(graph: Graph, sources: Sources, steps: readonly Step[]): Place | null {
  const owner = findOwner(graph, steps);
  return owner === null ? null : (addingPlace(graph, owner, sources) ?? owner.place);
}

/** Of a chain the function nearest to its holder, whoever wrote it: the links themselves know nothing. */
function inChain(graph: Graph, { group }: Wanted): Place | null {
  if (group.how !== 'chain') return null;
  const holders = group.members.slice(0, MOST_HOLDERS).map(({ node }) => node);
  // A function that keeps the chain in a variable is its holder, not its maker.
  const isVariable = graph.heap.nodeType[holders[0]!] === NODE.closure || isContext(graph, holders[0]!);
  return findCreator(graph, null, isVariable ? [group.steps.at(-1)!.node] : holders, IN_CHAIN);
}
const MOST_HOLDERS = 20;
const IN_CHAIN = { depth: 8, visits: 4000, packagePenalty: 0, functionsOnly: true };
/** From a socket to the listeners that the application put on its WebSocket; farther away lies everything. */
const NEARBY = { depth: 5, visits: 3000, packagePenalty: 6, functionsOnly: false, isAgentSkipped: true };

/** A container of Node's own: whose socket or stream is it? A package that wraps them all says less than the application. */
function nearby(graph: Graph, { steps }: Group): Place | null {
  let inPackage: Place | null = null;
  for (const { node } of [...steps].reverse()) {
    const place = findCreator(graph, null, [node], NEARBY);
    if (place !== null && !isPackageFile(place.file)) return place;
    inPackage ??= place;
  }
  return inPackage;
}

function addingPlace({ scripts }: Graph, owner: Owner, sources: Sources): Place | null {
  const { place, names, inside, parents } = owner;
  for (const from of [place, ...parents]) {
    const text = sources.text(from.file);
    for (const [at, name] of text === null ? [] : names.entries()) {
      const spot = findAddLine(text!, name, from, at === 0 ? inside : 0);
      if (spot === null) continue;
      const around = scripts.functionAt(from.file, spot.line, spot.column);
      const isAround = around !== null && isNamedBefore(text!, around, spot.line);
      return { file: from.file, ...spot, function: isAround ? around : null };
    }
  }
  return null;
}
