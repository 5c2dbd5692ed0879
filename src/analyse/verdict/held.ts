import type { RetainingStep, Suspect, SuspectType } from '../../types/index.ts';
import type { Comparison } from './describe.ts';
import { holdingOf } from '../compare/entries.ts';
import { findWitness } from './evidence.ts';
import type { Witness } from './evidence.ts';
import { boundOf } from './suppression.ts';
import type { Group } from '../compare/fold.ts';
import { entriesOf } from '../compare/growth.ts';
import { EDGE, EDGE_MASK, NODE, edgeText, follow, nodeText } from '../graph/heap.ts';
import type { Heap } from '../graph/heap.ts';
import { entriesPerEdge } from '../compare/kinds.ts';
import type { Wanted } from '../locate/locate.ts';
import { narrow } from './narrow.ts';
import type { Judged } from './narrow.ts';
import { className, pathParts } from '../locate/path.ts';
import type { Part, Step } from '../locate/path.ts';
import { stateOf, unknown } from './state.ts';
import type { Facts, Stated } from './state.ts';
import { functionIn, isContext, nameIn } from '../locate/variable.ts';

/** Fewer entries of the first snapshot that are all still there may be chance. */
const LEAST_KEPT = 10;
const MOST_HOLDERS = 300;

/** From something that the user wrote to an example entry, each step with its state; then narrowed. */
export function heldSteps(
  { comparison, facts }: { readonly comparison: Comparison; readonly facts: Facts },
  group: Group,
  suspect: Suspect,
  sample: readonly number[],
): readonly RetainingStep[] {
  const isTimers = suspect.type === 'Timers';
  const steps = isTimers ? [ofTimers(facts, group, suspect)] : wayTo(comparison, facts, group);
  const witness = findWitness(facts, comparison, sample);
  if (witness === null) return narrow(steps);
  const entry = entryStep(comparison, facts, { group, type: suspect.type }, witness);
  return narrow([...steps, entry, ...witness.below]);
}

function wayTo(comparison: Comparison, facts: Facts, { steps, members }: Group): Judged[] {
  const { graph } = comparison;
  const parts = pathParts(graph, steps);
  const judged: Judged[] = [];
  for (const [index, { text, at }] of parts.entries()) {
    const { node } = steps[at]!;
    const is = className(facts.heap, node);
    const above = judged.at(-1);
    const isBelowGood = above?.state === 'not-leaking';
    const isBelowEvents = above?.text === '._events';
    const stated =
      index === 0
        ? startState(comparison, facts, node)
        : stepState(comparison, facts, { step: steps[at]!, text, isBelowGood, isBelowEvents });
    judged.push({ text: members.length > 1 ? text.replace(/^\[\d+\]$/, '[…]') : text, is, ...stated });
  }
  const isAnchored = judged.some(({ state }) => state === 'not-leaking');
  const anchor = isAnchored ? null : anchorAbove(facts, steps, parts);
  return anchor === null ? judged : [anchor, ...judged];
}

function startState(comparison: Comparison, facts: Facts, node: number): Stated {
  const own = stateOf(facts, node);
  if (own.state !== 'unknown') return own;
  const file = moduleOf(comparison, node);
  return file === null
    ? own
    : { state: 'not-leaking', because: `a variable of the module ${nameOfFile(file)}` };
}

const nameOfFile = (file: string): string => file.split(/[\\/]/).at(-1) ?? file;

/** The file whose outermost scope has the object in a variable. Only the scopes of modules hang from the engine's own. */
function moduleOf({ graph }: Comparison, node: number): string | null {
  const { heap, incoming } = graph;
  const end = Math.min(incoming.start[node + 1]!, incoming.start[node]! + MOST_HOLDERS);
  for (let at = incoming.start[node]!; at < end; at++) {
    const context = incoming.from[at]!;
    if (!isContext(graph, context) || nameIn(graph, context, node) === null) continue;
    const outer = follow(heap, context, 'previous');
    if (outer < 0 || nodeText(heap, outer) !== 'system / NativeContext') continue;
    const place = functionIn(graph, context);
    // Of a bundle it is the bundle: its scope is that of many files.
    if (place !== null) return place.file;
  }
  return null;
}

interface Below {
  readonly step: Step;
  readonly text: string;
  /** What it is a field of should be there. */
  readonly isBelowGood: boolean;
  /** What it is a field of is an emitter's `_events`. */
  readonly isBelowEvents: boolean;
}

function stepState(comparison: Comparison, facts: Facts, below: Below): Stated {
  const { heap } = facts;
  const { edge, node } = below.step;
  const own = stateOf(facts, node);
  if (own.state !== 'unknown') return own;
  const bound = boundOf(className(heap, node));
  if (bound !== null) return { state: 'not-leaking', because: bound };
  const isField =
    (heap.edgeLabel[edge]! & EDGE_MASK) === EDGE.property && edgeText(heap, edge) !== '__proto__';
  const because =
    (below.isBelowGood && isField ? fieldReason(comparison, below) : null) ?? steadyReason(comparison, node);
  return because === null ? own : { state: 'not-leaking', because };
}

/** Of something that should be there: its own parts are parts of it, and what grew since is not the field. */
function fieldReason({ first }: Comparison, { step, text, isBelowEvents }: Below): string | null {
  if (text === '._events' || isBelowEvents) {
    return `the emitter's own list of ${isBelowEvents ? 'listeners' : 'events'}`;
  }
  // Paired by path it is the field of that name in the same place, which is all that is said.
  const isOld = first.before[step.node] !== 0;
  return isOld && /^\.[#\w$]+$|^\[\w+\]$/.test(text) ? 'a field that was there in the first snapshot' : null;
}

function steadyReason({ first }: Comparison, node: number): string | null {
  const old = first.isExact ? first.before[node]! - 1 : -1;
  const then = old < 0 ? -1 : holdingOf(first.earlier, old);
  const now = holdingOf(first.now, node);
  if (then < 0 || now < 0) return null;
  const entries = first.now.entries[now]!;
  return entries > 0 && entries === first.earlier.entries[then]
    ? `holds ${entries} entries, as before`
    : null;
}

/** What the drawn path begins with may itself hang from a server that listens: then that is where it begins. */
function anchorAbove(facts: Facts, steps: readonly Step[], parts: readonly Part[]): Judged | null {
  for (let at = (parts[0]?.at ?? 0) - 1; at >= 0; at--) {
    const { node } = steps[at]!;
    const stated = stateOf(facts, node);
    if (stated.state === 'not-leaking') {
      const is = className(facts.heap, node);
      return { text: is, is, ...stated };
    }
  }
  return null;
}

function ofTimers(facts: Facts, { members }: Group, { path }: Suspect): Judged {
  const { node } = members[0]!;
  return { text: path.join(''), is: className(facts.heap, node), ...stateOf(facts, node) };
}

function entryStep(
  comparison: Comparison,
  facts: Facts,
  { group, type }: Pick<Wanted, 'group' | 'type'>,
  witness: Witness,
): Judged {
  const { heap } = facts;
  const { entry } = witness;
  const is = className(heap, entry);
  const text = entryText(heap, group, entry);
  if (witness.state.state === 'leaking' || witness.isOpen) return { text, is, ...witness.state };
  // The same listener again and again is not new.
  const kept = comparison.first.before[entry] === 0 ? keptOf(comparison, group, type) : null;
  if (kept === null) return { text, is, ...unknown() };
  const because = `new since the first snapshot; of older ones there are as many as then, ${kept}`;
  return { text, is, state: 'leaking', because };
}

/** How many entries the containers had, when of objects that are as old there are as many now; else null. */
function keptOf({ graph, first }: Comparison, { how, members }: Group, type: SuspectType): number | null {
  if (how !== 'entries' || !first.isExact) return null;
  const { heap } = graph;
  let then = 0;
  for (const { node } of members) {
    const old = first.before[node]! - 1;
    const at = old < 0 ? -1 : holdingOf(first.earlier, old);
    // Of a dictionary the link to its prototype was counted too.
    const links = type === 'Object' && follow(heap, node, '__proto__') >= 0 ? 1 : 0;
    const count = at < 0 ? 0 : first.earlier.entries[at]! - links;
    if (count === 0) continue;
    let kept = 0;
    for (const entry of entriesOf(heap, node)) {
      if (first.before[entry] !== 0 && heap.nodeType[entry] !== NODE.hidden) kept++;
    }
    // Else old objects came in or went: which of them left nobody can tell.
    if (kept !== count) return null;
    then += count;
  }
  const entries = Math.round(then * entriesPerEdge(heap, type, members[0]!.node));
  return entries < LEAST_KEPT ? null : entries;
}

/** `[312]`; keys of Maps and of dictionaries are data. */
function entryText(heap: Heap, { how, members }: Group, entry: number): string {
  const { node } = members[0]!;
  if (how === 'chain') return '…';
  if (follow(heap, node, 'table') >= 0) return '.get(…)';
  for (let edge = heap.firstEdge[node]!; edge < heap.firstEdge[node + 1]!; edge++) {
    if (heap.edgeTo[edge] === entry && (heap.edgeLabel[edge]! & EDGE_MASK) === EDGE.element) {
      return `[${edgeText(heap, edge)}]`;
    }
  }
  return '[…]';
}
