/** Locates the listeners of an emitter: function, file and line, read from the functions themselves by the inspector. */
import EventEmitter from 'node:events';
import { fileURLToPath } from 'node:url';
import { isAllowed } from '../../core/process.ts';
import type { Culprit } from '../../types/index.ts';
import { mapThroughInlineMap } from './inline-source-map.ts';
import {
  withInspector,
  type InspectorSession,
  type RemoteFunction,
  type RemoteProperty,
  type Script,
} from './inspector-session.ts';

/** A leak has added most of the newest listeners, so a sample of the newest is enough. */
const MAX_SAMPLED_LISTENERS = 25;
const MAX_EVENT_NAMES = 2_000;
/** A listener can be bound, wrapped, and both several times. */
const MAX_LAYERS = 6;
/** Names that lodash and similar libraries give to their wrappers, and to the variable with the wrapped function. */
const WRAPPER_NAME = /^(?:debounced|throttled|wrapped|wrapper|memoized|invokeFunc)$/;
const WRAPPED_VARIABLE = /^(?:func|fn|callback|listener|handler)$/;
/** Confidence when all sampled listeners share one location. */
const MAX_CONFIDENCE = 0.95;

interface FunctionLocation {
  readonly scriptId: string;
  /** From 1, as the column. */
  readonly line: number;
  readonly column: number;
  readonly functionName: string | null;
}

/**
 * The location that most of the newest listeners of `event` share; `*` stands for the event with most listeners. Null where
 * there are none or `--permission` denies the inspector.
 */
export function locateListeners(emitter: EventEmitter, event: string): Culprit | null {
  const listeners = newestListeners(emitter, event);
  if (listeners.length === 0 || !isAllowed('inspector')) return null;
  return withInspector((session) => {
    const scripts = session.scripts();
    const locations = listeners.flatMap((listener) => locationOf(session, listener) ?? []);
    const { location, count } = mostFrequent(locations);
    if (location === null) return null;
    return culpritAt(location, scripts.get(location.scriptId), { event, share: count / listeners.length });
  });
}

function newestListeners(emitter: EventEmitter, event: string): object[] {
  // The original methods, because a class may have overridden its own.
  const { prototype } = EventEmitter;
  const newestOf = (name: string | symbol): object[] =>
    prototype.listeners.call(emitter, name).slice(-MAX_SAMPLED_LISTENERS);
  const names = prototype.eventNames.call(emitter);
  if (event !== '*') return newestOf(names.find((name) => String(name) === event) ?? event);
  const newestNames = names.slice(-MAX_EVENT_NAMES);
  const counts = newestNames.map((name) => prototype.listenerCount.call(emitter, name));
  const maxCount = Math.max(...counts);
  const topName = newestNames[counts.indexOf(maxCount)];
  if (topName === undefined) return [];
  if (maxCount > MAX_SAMPLED_LISTENERS) return newestOf(topName);
  // Event names that contain an id of a user or request have one or two listeners each.
  return newestNames.slice(-MAX_SAMPLED_LISTENERS).flatMap(newestOf);
}

interface RemoteLocation {
  readonly scriptId: string;
  readonly lineNumber: number;
  readonly columnNumber?: number;
}

function locationOf(session: InspectorSession, listener: object): FunctionLocation | null {
  let remote = session.describe(listener);
  let location: FunctionLocation | null = null;
  for (let layer = 0; layer < MAX_LAYERS; layer += 1) {
    const remoteLocation = valueOf(remote.internal, '[[FunctionLocation]]')?.value as
      RemoteLocation | undefined;
    if (remoteLocation !== undefined)
      location = toLocation(remoteLocation, valueOf(remote.properties, 'name')?.value);
    // A bound function has no location, but its target has. The location of a wrapper is in its library.
    const inner =
      remoteLocation === undefined
        ? valueOf(remote.internal, '[[TargetFunction]]')?.objectId
        : wrappedFunction(session, remote, location?.functionName ?? '');
    if (inner === undefined) return location;
    remote = session.describeRemote(inner);
  }
  return location;
}

const toLocation = (
  { scriptId, lineNumber, columnNumber = 0 }: RemoteLocation,
  name: unknown,
): FunctionLocation => ({
  scriptId,
  line: lineNumber + 1,
  column: columnNumber + 1,
  functionName: typeof name === 'string' && name !== '' ? name : null,
});

/** The object id of the function that a wrapper keeps in a variable of its innermost scope. */
function wrappedFunction(
  session: InspectorSession,
  { internal }: RemoteFunction,
  name: string,
): string | undefined {
  if (!WRAPPER_NAME.test(name)) return undefined;
  const scopes = session.describeRemote(valueOf(internal, '[[Scopes]]')?.objectId).properties;
  const variables = session.describeRemote(valueOf(scopes, '0')?.objectId).properties;
  const wrapped = variables.find(
    (variable) => WRAPPED_VARIABLE.test(variable.name) && variable.value?.type === 'function',
  );
  return wrapped?.value?.objectId;
}

const valueOf = (properties: readonly RemoteProperty[], name: string): RemoteProperty['value'] =>
  properties.find((property) => property.name === name)?.value;

function mostFrequent(locations: readonly FunctionLocation[]): {
  location: FunctionLocation | null;
  count: number;
} {
  const counts = new Map<string, { location: FunctionLocation; count: number }>();
  for (const location of locations) {
    const key = `${location.scriptId}:${location.line}:${location.column}`;
    const counted = counts.get(key);
    if (counted === undefined) counts.set(key, { location, count: 1 });
    else counted.count += 1;
  }
  return [...counts.values()].sort((a, b) => b.count - a.count)[0] ?? { location: null, count: 0 };
}

function culpritAt(
  location: FunctionLocation,
  script: Script | undefined,
  { event, share }: { event: string; share: number },
): Culprit {
  const { line, column, functionName } = location;
  const url = script?.url ?? '';
  const file = url.startsWith('file:') ? fileURLToPath(url) : url;
  const mapped = file === '' ? null : mapThroughInlineMap(script?.sourceMapUrl ?? '', { file, line, column });
  const shown = mapped ?? { file, line };
  const subject = event === '*' ? 'listener' : `listener of '${event}'`;
  return {
    text: `${subject}: ${functionName ?? 'an anonymous function'} at ${shown.file || 'unknown'}:${shown.line}`,
    name: event,
    file: shown.file || null,
    line: shown.line,
    // A mapped location has no column: with a column the watcher would map it a second time.
    ...(mapped === null ? { column } : {}),
    function: functionName,
    package: packageOf(file),
    confidence: file === '' ? 0 : Math.round(share * MAX_CONFIDENCE * 100) / 100,
  };
}

/** The package of a file in `node_modules`; null for the application's own files. */
function packageOf(file: string): string | null {
  const parts = file.split(/[\\/]/);
  const index = parts.lastIndexOf('node_modules');
  const [scope, name] = index === -1 ? [] : parts.slice(index + 1);
  if (scope === undefined) return null;
  return scope.startsWith('@') ? `${scope}/${name ?? ''}` : scope;
}
