/**
 * Locates the callbacks of timers and the listeners of open handles. The application adds a listener where it opens the
 * handle, so both lead to that code.
 */
import EventEmitter from 'node:events';
import type { Culprit, ResourceType } from '../../types/index.ts';
import { locateFunctions } from '../inspector/locate-listeners.ts';
import { newestCallbacks, type TimerLists } from './timer-lists.ts';

interface Handle {
  readonly constructor?: { readonly name?: unknown };
  readonly [field: string]: unknown;
}

interface HandleKind {
  readonly noun: string;
  readonly matches: (handle: Handle) => boolean;
  /** The emitters of a handle by their path (empty: the handle), and the events that the application listens for. */
  readonly sources: readonly (readonly [path: readonly string[], event: string])[];
}

/**
 * The keys are resource types. Shapes and names of classes are compared, because `instanceof` would load modules that the application
 * does not use.
 */
const KINDS: ReadonlyMap<string, HandleKind> = new Map<ResourceType, HandleKind>([
  [
    'child_process',
    {
      noun: 'a child process',
      matches: (handle) => 'spawnfile' in handle,
      sources: [
        [['stdout'], 'data'],
        [[], 'exit'],
        [[], 'close'],
        [[], 'message'],
      ],
    },
  ],
  [
    'file_watcher',
    {
      noun: 'a file watcher',
      matches: ({ constructor }) => constructor?.name === 'FSWatcher' || constructor?.name === 'StatWatcher',
      sources: [[[], 'change']],
    },
  ],
  [
    'outgoing_socket',
    {
      noun: 'an outgoing socket',
      matches: (handle) => isSocket(handle) && !isPipe(handle),
      sources: [
        // A client request refers to its response, whose listeners stay for as long as it arrives.
        [['_httpMessage', 'res'], 'data'],
        [['_httpMessage'], 'response'],
        [[], 'data'],
      ],
    },
  ],
  // The pipes of child processes.
  ['pipe', { noun: 'a pipe', matches: isPipe, sources: [[[], 'data']] }],
]);

/** An accepted socket refers to its server. */
function isSocket(handle: Handle): boolean {
  return 'connecting' in handle && (handle['_server'] ?? null) === null;
}

function isPipe(handle: Handle): boolean {
  return isSocket(handle) && (handle['_handle'] as Handle | null)?.constructor?.name === 'Pipe';
}

/** A leak has opened most of the newest timers and handles, so a sample of the newest is enough. */
const MAX_SAMPLED = 25;
/** Each group that is located can take 120 ms of the application thread (docs/facts.md, Listeners). */
const MAX_GROUPS = 2;

/** The callback that most of the newest timers share, in the first list that has a callback of the application. */
export function locateTimers(
  lists: TimerLists,
  durationsMs: readonly number[],
  maxTimeoutMs: number,
): Culprit | null {
  for (const durationMs of durationsMs) {
    const callbacks = newestCallbacks(lists, { durationMs, maxTimeoutMs, max: MAX_SAMPLED });
    const culprit = locateFunctions(callbacks, { name: 'timer', text: `timer of ${durationMs} ms` });
    if (culprit !== null) return culprit;
  }
  return null;
}

/** The listener that most of the newest handles of one type share. Null for a type whose handles have none. */
export function locateHandles(type: string): Culprit | null {
  const kind = KINDS.get(type);
  if (kind === undefined) return null;
  const handles = openHandles().filter(kind.matches).slice(-MAX_SAMPLED);
  const groups = kind.sources
    .map(([path, event]) => handles.flatMap((handle) => listenersOf(valueAt(handle, path), event)))
    .filter((listeners) => listeners.length > 0)
    .slice(0, MAX_GROUPS);
  for (const group of groups) {
    const culprit = locateFunctions(group, { name: type, text: `listener of ${kind.noun}` });
    if (culprit !== null) return culprit;
  }
  return null;
}

const valueAt = (handle: Handle, path: readonly string[]): unknown =>
  path.reduce<unknown>((value, field) => (value as Handle | null | undefined)?.[field], handle);

/** The original method, because a class may have overridden its own. */
const listenersOf = (emitter: unknown, event: string): object[] =>
  emitter instanceof EventEmitter ? EventEmitter.prototype.listeners.call(emitter, event) : [];

/** Node's documentation calls it deprecated, but it is the only list of handles as objects. */
function openHandles(): Handle[] {
  const list = (process as unknown as { _getActiveHandles?: () => Handle[] })._getActiveHandles;
  return typeof list === 'function' ? list.call(process) : [];
}
