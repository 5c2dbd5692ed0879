/** Reasons for expected growth: limits, caches, pending timers, parts of Node at their first use, plateaus. */
import type { Suspect } from '../../types/index.ts';
import { limitToCensus } from '../compare/chains.ts';
import type { Chain } from '../compare/chains.ts';
import { findGrowth, gainedEntries, subtractReplaced } from '../compare/growth.ts';
import { timerDurationMs } from '../compare/groups.ts';
import type { GrowthGroup } from '../compare/groups.ts';
import type { Graph } from '../graph/graph.ts';
import { className, edgeTarget } from '../graph/heap.ts';
import { pathFields } from '../graph/retaining-path.ts';
import { findEvictionLine } from '../locate/add-line.ts';
import { findOwner } from '../locate/locate.ts';
import type { Owner } from '../locate/locate.ts';
import type { Comparison } from './describe-suspect.ts';
import { growthByDesign } from './known-leaks.ts';
import { limitOnPath } from './known-limit.ts';
import { countSockets, isNull } from './object-state.ts';

/** Timers that fire once are removed then. ws gives a closing socket 30 s, other libraries 15 to 20. */
const MAX_PENDING_MS = 60_000;
/** Timers this short that are in a snapshot were started just before it, so something starts many of them. */
const MIN_PENDING_MS = 5000;
const MIN_ONE_SHOT_SHARE = 0.9;
/** Growth since the middle snapshot, as a share of all growth. Up to this share it is a plateau. */
const MAX_PLATEAU_SHARE = 0.1;

const MODULE_LOADER =
  /^(process\.moduleLoadList|Module\._cache|Module\._pathCache|Module\.children|statCache|packageJsonCache|require\.cache)\b/;

/** The reason why the growth of a group is expected; null for a suspect. */
export function expectedReason(
  comparison: Comparison,
  group: GrowthGroup,
  suspect: Suspect,
  sample: readonly number[],
): string | null {
  const { graph, packages } = comparison;
  const { heap } = graph;
  if (/^Weak(?:Map|Set)$/.test(className(heap, group.members[0]!.node)))
    return 'its entries live as long as their keys';
  const byDesign = growthByDesign(pathFields(heap, group.steps), packages);
  if (byDesign !== null) return byDesign;
  if (suspect.type === 'Timers')
    return pendingTimers(graph, group, sample) ?? plateau(comparison, group, sample);
  if (MODULE_LOADER.test(group.path.join(''))) return "Node's module loader keeps one entry for each module";
  const limit = limitOnPath(graph, comparison.sources, group.steps);
  if (limit !== null) return limit;
  const owner = findOwner(graph, group.steps);
  return (
    firstUse(comparison, { group, owner, sample }) ??
    evictionInSource(comparison, owner) ??
    plateau(comparison, group, sample)
  );
}

function pendingTimers(graph: Graph, group: GrowthGroup, timers: readonly number[]): string | null {
  const { heap } = graph;
  const oneShot = timers.filter((timer) => {
    const repeat = edgeTarget(heap, timer, '_repeat');
    return repeat >= 0 && isNull(heap, repeat);
  });
  const durationMs = timerDurationMs(graph, group.members[0]!.node);
  if (durationMs === null || durationMs <= MIN_PENDING_MS || durationMs > MAX_PENDING_MS) return null;
  if (oneShot.length < timers.length * MIN_ONE_SHOT_SHARE) return null;
  return `each timer fires once, after ${durationMs} ms, and is removed then`;
}

/**
 * When a part of Node is first used (`fetch`, `crypto`, the table of system errors), it creates objects with a hundred
 * functions, symbols or strings. No variable and no class of the application refers to them.
 */
function firstUse(
  { graph }: Comparison,
  { group, owner, sample }: { group: GrowthGroup; owner: Owner | null; sample: readonly number[] },
): string | null {
  if (group.how !== 'new' || owner !== null || countSockets(graph.heap, sample).closed > 0) return null;
  return 'it is new since the first snapshot and no code of the application refers to it: Node creates such objects when a part of it is first used';
}

function evictionInSource({ sources }: Comparison, owner: Owner | null): string | null {
  const name = owner?.names[0]?.name;
  if (owner === null || name === undefined) return null;
  for (const { file } of [owner.position, ...owner.importers]) {
    const position = findEvictionLine(sources, file, name);
    if (position !== null) return `the code removes entries at a limit (${file}:${position.line})`;
  }
  return null;
}

/** Three snapshots: it grew at first and then stopped, and no entry refers to a closed socket. */
function plateau(comparison: Comparison, group: GrowthGroup, sample: readonly number[]): string | null {
  const gained = gainedSinceMiddle(comparison, group);
  if (gained === null || gained > group.gained * MAX_PLATEAU_SHARE) return null;
  if (countSockets(comparison.graph.heap, sample).closed > 0) return null;
  return 'it grew between the first two snapshots, and then stopped growing';
}

function gainedSinceMiddle(
  { graph, middle, censuses }: Comparison,
  { how, members }: GrowthGroup,
): number | null {
  if (middle === null || censuses === null || censuses.middle === null) return null;
  const { heap } = graph;
  if (how === 'chain') {
    const sinceMiddle = { ...censuses, earlier: censuses.middle };
    return members.reduce((sum, chain) => sum + limitToCensus(heap, sinceMiddle, chain as Chain).gained, 0);
  }
  if (how === 'new') {
    const growth = subtractReplaced(middle, findGrowth(heap, middle));
    const gained = new Map(growth.map((each) => [each.node, each.gained]));
    return members.reduce((sum, { node }) => sum + (gained.get(node) ?? 0), 0);
  }
  return members.reduce((sum, { node, gained }) => sum + (gainedEntries(middle, node) ?? gained), 0);
}
