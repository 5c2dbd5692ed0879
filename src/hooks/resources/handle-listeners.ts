/** Finds the listeners of open handles. The application adds them where it opens the handle, so they lead to that code. */
import EventEmitter from 'node:events';
import type { ResourceType } from '../../types/index.ts';

interface Handle {
  readonly constructor?: { readonly name?: unknown };
  readonly [field: string]: unknown;
}

interface HandleKind {
  readonly text: string;
  readonly matches: (handle: Handle) => boolean;
  /** The emitters of a handle by their fields (null: the handle), and the events that the application listens for. */
  readonly sources: readonly (readonly [field: string | null, event: string])[];
}

/** Reads shapes and names of classes, because `instanceof` would load modules that the application does not use. */
const KINDS: Partial<Record<ResourceType, HandleKind>> = {
  child_process: {
    text: 'listener of a child process',
    matches: (handle) => 'spawnfile' in handle,
    sources: [
      ['stdout', 'data'],
      [null, 'exit'],
      [null, 'close'],
      [null, 'message'],
    ],
  },
  file_watcher: {
    text: 'listener of a file watcher',
    matches: ({ constructor }) => constructor?.name === 'FSWatcher' || constructor?.name === 'StatWatcher',
    sources: [[null, 'change']],
  },
  outgoing_socket: {
    text: 'listener of an outgoing socket',
    // An accepted socket refers to its server.
    matches: (handle) => 'connecting' in handle && (handle['_server'] ?? null) === null,
    sources: [
      ['_httpMessage', 'response'],
      [null, 'data'],
    ],
  },
};

/** A leak has opened most of the newest handles. */
const MAX_HANDLES = 25;
/** Each group that is located can take 120 ms of the application thread (docs/facts.md, Listeners). */
const MAX_GROUPS = 2;

interface HandleListeners {
  /** The start of the text of a root cause. */
  readonly text: string;
  /** One group for each event that has listeners. */
  readonly groups: readonly (readonly object[])[];
}

/** The listeners of the newest handles of one type; null for a type whose handles have none. */
export function handleListeners(type: ResourceType): HandleListeners | null {
  const kind = KINDS[type];
  if (kind === undefined) return null;
  const handles = openHandles().filter(kind.matches).slice(-MAX_HANDLES);
  const groups = kind.sources
    .map(([field, event]) =>
      handles.flatMap((handle) => listenersOf(field === null ? handle : handle[field], event)),
    )
    .filter((listeners) => listeners.length > 0)
    .slice(0, MAX_GROUPS);
  return { text: kind.text, groups };
}

/** The original method, because a class may have overridden its own. */
const listenersOf = (emitter: unknown, event: string): object[] =>
  emitter instanceof EventEmitter ? EventEmitter.prototype.listeners.call(emitter, event) : [];

/** Node's documentation calls it deprecated, but it is the only list of handles as objects. */
function openHandles(): Handle[] {
  const list = (process as unknown as { _getActiveHandles?: () => Handle[] })._getActiveHandles;
  return typeof list === 'function' ? list.call(process) : [];
}
