import type { SuspectType } from '../types.ts';
import { findAddLine, isNamedBefore } from './addline.ts';
import { findCreator } from './creators.ts';
import type { Group } from './fold.ts';
import type { Graph } from './graph.ts';
import { findOwner } from './owner.ts';
import type { Owner } from './owner.ts';
import type { Step } from './path.ts';
import { isPackageFile } from './scripts.ts';
import type { Place } from './scripts.ts';
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

/** The line to look at: who adds, else who holds, else what is near. */
export function locate(
  graph: Graph,
  before: Uint32Array | Uint8Array | null,
  sources: Sources,
  wanted: Wanted,
): Place | null {
  const { group, type, sample } = wanted;
  const creator = inChain(graph, wanted) ?? findCreator(graph, before, sample);
  if (FUNCTIONS.includes(type) && creator !== null) return creator;
  const owner = findOwner(graph, group.steps);
  if (owner === null) return creator ?? nearby(graph, group);
  const adding = addingPlace(graph, owner, sources);
  if (adding !== null) return adding;
  const isOwnCode = creator !== null && !isPackageFile(creator.file);
  return isOwnCode && isPackageFile(owner.place.file) ? creator : owner.place;
}

/** Who holds it, and nothing else. */
export function locateOwner(graph: Graph, sources: Sources, steps: readonly Step[]): Place | null {
  const owner = findOwner(graph, steps);
  return owner === null ? null : (addingPlace(graph, owner, sources) ?? owner.place);
}

/** Of a chain the function nearest to its holder, whoever wrote it: the links themselves know nothing. */
function inChain(graph: Graph, { group, type }: Wanted): Place | null {
  if (group.how !== 'chain' || type === 'Timers') return null;
  const holders = group.members.slice(0, MOST_HOLDERS).map(({ node }) => node);
  return findCreator(graph, null, holders, IN_CHAIN);
}
const MOST_HOLDERS = 20;
const IN_CHAIN = { depth: 8, visits: 4000, packagePenalty: 0 };
/** From a socket to the listeners that the application put on its WebSocket; farther away lies everything. */
const NEARBY = { depth: 5, visits: 3000, packagePenalty: 6 };

/** A container of Node's own: whose socket or stream is it? */
function nearby(graph: Graph, { steps }: Group): Place | null {
  for (const { node } of [...steps].reverse()) {
    const place = findCreator(graph, null, [node], NEARBY);
    if (place !== null) return place;
  }
  return null;
}

function addingPlace({ scripts }: Graph, { place, names, parents }: Owner, sources: Sources): Place | null {
  for (const from of [place, ...parents]) {
    const text = sources.text(from.file);
    for (const name of text === null ? [] : names) {
      const spot = findAddLine(text!, name, from);
      if (spot === null) continue;
      const around = scripts.functionAt(from.file, spot.line, spot.column);
      const isAround = around !== null && isNamedBefore(text!, around, spot.line);
      return { file: from.file, ...spot, function: isAround ? around : null };
    }
  }
  return null;
}
