import type { Suspect } from '../../types/index.ts';
import { findBound } from '../locate/bounds.ts';
import type { Comparison } from './describe.ts';
import { closedSockets, isNull } from './details.ts';
import { holdingOf } from '../compare/entries.ts';
import type { Holdings } from '../compare/entries.ts';
import type { Group } from '../compare/fold.ts';
import { findGrown } from '../compare/growth.ts';
import type { Chain } from '../compare/growth.ts';
import type { Graph } from '../graph/graph.ts';
import { follow } from '../graph/heap.ts';
import { durationMs } from '../compare/kinds.ts';
import { designOf } from './known.ts';
import { findOwner } from '../locate/owner.ts';
import type { Owner } from '../locate/owner.ts';
import { className, placeKeys } from '../locate/path.ts';
import { netOfChain, netOfCopies } from '../compare/replaced.ts';

/** A timer that fires once within a minute lets go by itself: ws gives a closing socket 30 s, others 15 to 20. */
const PENDING_MS = 60_000;
/** So short that what is pending has just been started. */
const SHORT_MS = 5000;
/** In the second interval, of what was gained in both: less than that is a plateau. */
const PLATEAU_SHARE = 0.1;

/** Classes of libraries and of Node that fill up to a bound of their own. */
const BOUNDED_CLASSES: ReadonlyMap<string, string> = new Map([
  ['LRUCache', 'an LRU cache has a bound'],
  ['LRU', 'an LRU cache has a bound'],
  ['QuickLRU', 'an LRU cache has a bound'],
  ['FreeList', "Node's free lists have a bound"],
  ['WeakRefMap', "Node's diagnostics channels are kept one a name, weakly"],
  ['FixedQueue', "Node's queue of ticks empties itself"],
  ['FixedCircularBuffer', "Node's queue of ticks empties itself"],
]);
export const boundOf = (name: string): string | null => BOUNDED_CLASSES.get(name) ?? null;
/** Node's loader remembers each module once. */
const LOADER =
  /^(process\.moduleLoadList|Module\._cache|Module\._pathCache|Module\.children|statCache|packageJsonCache|require\.cache)\b/;

/** Why a thing that grew is not called a leak; null when nothing excuses it. */
export function excuseOf(
  comparison: Comparison,
  group: Group,
  suspect: Suspect,
  sample: readonly number[],
): string | null {
  const { graph, packages } = comparison;
  const { heap } = graph;
  const design = designOf(placeKeys(heap, group.steps), packages);
  if (design !== null) return design;
  if (suspect.type === 'Timers')
    return timerExcuse(graph, group, sample) ?? plateau(comparison, group, sample);
  if (LOADER.test(group.path.join(''))) return "Node's loader remembers each module once";
  for (const { node } of group.steps.slice(-3)) {
    const bounded = boundOf(className(heap, node));
    if (bounded !== null) return bounded;
  }
  const owner = findOwner(graph, group.steps);
  return (
    ofLoadedCode(comparison, { group, owner, sample }) ??
    boundInCode(comparison, owner) ??
    plateau(comparison, group, sample)
  );
}

function timerExcuse(graph: Graph, group: Group, timers: readonly number[]): string | null {
  const { heap } = graph;
  const once = timers.filter((timer) => {
    const repeat = follow(heap, timer, '_repeat');
    return repeat >= 0 && isNull(heap, repeat);
  });
  const ms = durationMs(graph, group.members[0]!.node);
  if (ms === null || ms <= SHORT_MS || ms > PENDING_MS || once.length < timers.length * 0.9) return null;
  return `they fire once, after ${ms} ms, and are gone then`;
}

/**
 * What a part of Node makes of its own when it is first used (`fetch`, `crypto`, the table of system errors) comes as
 * objects of a hundred functions, symbols or words, in no variable and no class of the application.
 */
function ofLoadedCode(
  { graph }: Comparison,
  { group, owner, sample }: { group: Group; owner: Owner | null; sample: readonly number[] },
): string | null {
  if (group.how !== 'fresh' || owner !== null || closedSockets(graph.heap, sample) > 0) return null;
  return 'it is new since the first snapshot and no code of the application has it: parts of Node come so when first used';
}

function boundInCode({ sources }: Comparison, owner: Owner | null): string | null {
  if (owner === null) return null;
  const text = sources.text(owner.place.file);
  const [name] = owner.names;
  const spot = text === null || name === undefined ? null : findBound(text, name);
  return spot === null ? null : `the code takes entries out at a bound (${owner.place.file}:${spot.line})`;
}

/** Three snapshots: it grew first and then no more, and no closed socket is in it. */
function plateau(comparison: Comparison, group: Group, sample: readonly number[]): string | null {
  const later = gainedLater(comparison, group);
  if (later === null || later > group.gained * PLATEAU_SHARE) return null;
  if (closedSockets(comparison.graph.heap, sample) > 0) return null;
  return 'it grew between the first two snapshots and no more after that';
}

/** Since the snapshot in the middle; null when there is none. */
function gainedLater({ graph, middle, censuses }: Comparison, { how, members }: Group): number | null {
  if (middle === null || censuses === null || censuses.middle === null) return null;
  const { heap } = graph;
  if (how === 'chain') {
    const since = { ...censuses, earlier: censuses.middle };
    return members.reduce((sum, chain) => sum + netOfChain(heap, since, chain as Chain).gained, 0);
  }
  if (how === 'fresh') {
    const copies = netOfCopies(middle, findGrown(heap, middle));
    const gained = new Map(copies.map((each) => [each.node, each.gained]));
    return members.reduce((sum, { node }) => sum + (gained.get(node) ?? 0), 0);
  }
  return members.reduce((sum, { node, gained }) => {
    const at = middle.before[node]! - 1;
    return sum + (at < 0 ? gained : entriesAt(middle.now, node) - entriesAt(middle.earlier, at));
  }, 0);
}

function entriesAt(holdings: Holdings, node: number): number {
  const at = holdingOf(holdings, node);
  return at < 0 ? 0 : holdings.entries[at]!;
}
