/** The retaining path of a suspect, object by object, with the references that may be the cause of the leak. */
import type { RetainingStep, Suspect, SuspectType } from '../../types/index.ts';
import { containerIndex, entriesOf, entryCount } from '../compare/containers.ts';
import { entriesPerReference } from '../compare/groups.ts';
import type { GrowthGroup } from '../compare/groups.ts';
import { EDGE, EDGE_TYPE_MASK, NODE, className, edgeTarget, edgeText } from '../graph/heap.ts';
import type { Heap } from '../graph/heap.ts';
import {
  firstFunctionOf,
  isContext,
  isModuleScope,
  pathParts,
  variableNameIn,
} from '../graph/retaining-path.ts';
import type { PathPart, Step } from '../graph/retaining-path.ts';
import type { Comparison } from './describe-suspect.ts';
import { findExampleEntry } from './example-entry.ts';
import type { ExampleEntry, PathStep } from './example-entry.ts';
import { objectState, unknown } from './object-state.ts';
import type { ObjectState, StateContext } from './object-state.ts';
import { knownLimitOf } from './known-limit.ts';

/** A few entries of the first snapshot may all remain by chance. */
const MIN_KEPT_ENTRIES = 10;
const MAX_RETAINERS = 300;

interface Input {
  readonly comparison: Comparison;
  readonly context: StateContext;
}

/** From a variable or another object that should be alive, through the container, to an example entry. */
export function retainingSteps(
  input: Input,
  group: GrowthGroup,
  suspect: Suspect,
  sample: readonly number[],
): readonly RetainingStep[] {
  const { comparison, context } = input;
  const isTimers = suspect.type === 'Timers';
  const steps = isTimers ? [timersStep(context, group, suspect)] : stepsToContainer(input, group);
  const example = findExampleEntry(context, comparison.first.earlierNode, sample);
  if (example === null) return markSuspectReferences(steps);
  const entry = entryStep(input, group, suspect.type, example);
  return markSuspectReferences([...steps, entry, ...example.below]);
}

/**
 * Whatever leads to an object that should be alive should be alive too, and whatever is reached only through an object
 * that should not be alive should not either. The references between the last of the former and the first of the latter
 * are the suspects. An object that should be alive wins over one above it that should not.
 */
export function markSuspectReferences(steps: readonly PathStep[]): RetainingStep[] {
  const lastGood = steps.findLastIndex(({ state }) => state === 'not-leaking');
  const leaking = steps.findIndex(({ state }, index) => index > lastGood && state === 'leaking');
  const firstLeaking = leaking < 0 ? Infinity : leaking;
  return steps.map((step, index) => {
    const isSuspect = index > Math.max(lastGood, 0) && index <= firstLeaking;
    if (index < lastGood && step.state !== 'not-leaking') {
      const because = `${steps[lastGood]!.text} is not leaking`;
      return { ...step, state: 'not-leaking', because, isSuspect };
    }
    if (index > firstLeaking && step.state !== 'leaking') {
      const because = `${steps[firstLeaking]!.text} is leaking`;
      return { ...step, state: 'leaking', because, isSuspect };
    }
    return { ...step, isSuspect };
  });
}

function stepsToContainer({ comparison, context }: Input, { steps, members }: GrowthGroup): PathStep[] {
  const { graph } = comparison;
  const parts = pathParts(graph, steps);
  const judged: PathStep[] = [];
  for (const [index, { text, stepIndex }] of parts.entries()) {
    const { node } = steps[stepIndex]!;
    const above = judged.at(-1);
    const state =
      index === 0
        ? startState(comparison, context, node)
        : stepState(comparison, context, {
            step: steps[stepIndex]!,
            text,
            isParentGood: above?.state === 'not-leaking',
            isListenerList: above?.text === '._events',
          });
    const isMany = members.length > 1;
    judged.push({
      text: isMany ? text.replace(/^\[\d+\]$/, '[…]') : text,
      is: className(context.heap, node),
      ...state,
    });
  }
  const hasGood = judged.some(({ state }) => state === 'not-leaking');
  const anchor = hasGood ? null : goodStepAbove(context, steps, parts);
  return anchor === null ? judged : [anchor, ...judged];
}

function startState(comparison: Comparison, context: StateContext, node: number): ObjectState {
  const state = objectState(context, node);
  if (state.state !== 'unknown') return state;
  const file = moduleOf(comparison, node);
  return file === null
    ? state
    : { state: 'not-leaking', because: `a variable of the module ${file.split(/[\\/]/).at(-1)}` };
}

/** The file whose module scope has the object in a variable. A bundle has one module scope for all its files. */
function moduleOf({ graph }: Comparison, node: number): string | null {
  const { incoming } = graph;
  const end = Math.min(incoming.start[node + 1]!, incoming.start[node]! + MAX_RETAINERS);
  for (let i = incoming.start[node]!; i < end; i += 1) {
    const context = incoming.from[i]!;
    if (!isContext(graph, context) || variableNameIn(graph, context, node) === null) continue;
    if (!isModuleScope(graph, context)) continue;
    const position = firstFunctionOf(graph, context);
    if (position !== null) return position.file;
  }
  return null;
}

interface Access {
  readonly step: Step;
  readonly text: string;
  /** The object that has this field should be alive. */
  readonly isParentGood: boolean;
  /** The field belongs to an emitter's `_events`. */
  readonly isListenerList: boolean;
}

function stepState(comparison: Comparison, context: StateContext, access: Access): ObjectState {
  const { heap } = context;
  const { edge, node } = access.step;
  const state = objectState(context, node);
  if (state.state !== 'unknown') return state;
  const limit = knownLimitOf(className(heap, node));
  if (limit !== null) return { state: 'not-leaking', because: limit };
  const isField =
    (heap.edgeLabel[edge]! & EDGE_TYPE_MASK) === EDGE.property && edgeText(heap, edge) !== '__proto__';
  const because =
    (access.isParentGood && isField ? fieldReason(comparison, access) : null) ??
    unchangedReason(comparison, node);
  return because === null ? state : { state: 'not-leaking', because };
}

/** A field of an object that should be alive, if the field is older than the growth. */
function fieldReason({ first }: Comparison, { step, text, isListenerList }: Access): string | null {
  if (text === '._events' || isListenerList) {
    return `the emitter's own list of ${isListenerList ? 'listeners' : 'events'}`;
  }
  const isOld = first.earlierNode[step.node] !== 0;
  return isOld && /^\.[#\w$]+$|^\[\w+\]$/.test(text) ? 'a field that existed in the first snapshot' : null;
}

function unchangedReason({ first }: Comparison, node: number): string | null {
  const earlier = first.isExact ? first.earlierNode[node]! - 1 : -1;
  if (earlier < 0 || containerIndex(first.earlier, earlier) < 0) return null;
  const entries = entryCount(first.current, node);
  const isUnchanged = entries > 0 && entries === entryCount(first.earlier, earlier);
  return isUnchanged ? `has ${entries} entries, as in the first snapshot` : null;
}

/** The nearest object above the reported path that should be alive, such as a listening server. */
function goodStepAbove(
  context: StateContext,
  steps: readonly Step[],
  parts: readonly PathPart[],
): PathStep | null {
  for (let index = (parts[0]?.stepIndex ?? 0) - 1; index >= 0; index--) {
    const { node } = steps[index]!;
    const state = objectState(context, node);
    if (state.state !== 'not-leaking') continue;
    const is = className(context.heap, node);
    return { text: is, is, ...state };
  }
  return null;
}

function timersStep(context: StateContext, { members }: GrowthGroup, { path }: Suspect): PathStep {
  const { node } = members[0]!;
  return { text: path.join(''), is: className(context.heap, node), ...objectState(context, node) };
}

function entryStep(
  { comparison, context }: Input,
  group: GrowthGroup,
  type: SuspectType,
  example: ExampleEntry,
): PathStep {
  const { heap } = context;
  const { entry } = example;
  const is = className(heap, entry);
  const text = entryText(heap, group, entry);
  if (example.state.state === 'leaking' || example.isOpen) return { text, is, ...example.state };
  // A function that is added repeatedly may be old itself.
  const isNew = comparison.first.earlierNode[entry] === 0;
  const kept = isNew ? keptEntries(comparison, group, type) : null;
  if (kept === null) return { text, is, ...unknown() };
  const because = `new since the first snapshot; none of the ${kept} older entries was removed`;
  return { text, is, state: 'leaking', because };
}

/** The number of entries in the first snapshot if all of them are still there; null if some are not. */
function keptEntries(
  { graph, first }: Comparison,
  { how, members }: GrowthGroup,
  type: SuspectType,
): number | null {
  if (how !== 'entries' || !first.isExact) return null;
  const { heap } = graph;
  let earlierReferences = 0;
  for (const { node } of members) {
    const earlier = first.earlierNode[node]! - 1;
    // The size of a dictionary includes the edge to its prototype.
    const prototypes = type === 'Object' && edgeTarget(heap, node, '__proto__') >= 0 ? 1 : 0;
    const isMeasured = earlier >= 0 && containerIndex(first.earlier, earlier) >= 0;
    const count = isMeasured ? entryCount(first.earlier, earlier) - prototypes : 0;
    if (count === 0) continue;
    let kept = 0;
    for (const entry of entriesOf(heap, node)) {
      if (first.earlierNode[entry] !== 0 && heap.nodeType[entry] !== NODE.hidden) kept += 1;
    }
    // Old objects were added or removed. Which of them were removed is not in the snapshots.
    if (kept !== count) return null;
    earlierReferences += count;
  }
  const entries = Math.round(earlierReferences * entriesPerReference(heap, type, members[0]!.node));
  return entries < MIN_KEPT_ENTRIES ? null : entries;
}

/** The access to an entry. Keys of Maps and dictionaries are data and are not shown. */
function entryText(heap: Heap, { how, members }: GrowthGroup, entry: number): string {
  const { node } = members[0]!;
  if (how === 'chain') return '…';
  if (edgeTarget(heap, node, 'table') >= 0) return '.get(…)';
  for (let edge = heap.firstEdge[node]!; edge < heap.firstEdge[node + 1]!; edge += 1) {
    const isElement = (heap.edgeLabel[edge]! & EDGE_TYPE_MASK) === EDGE.element;
    if (isElement && heap.edgeTo[edge] === entry) return `[${edgeText(heap, edge)}]`;
  }
  return '[…]';
}
