import EventEmitter from 'node:events';
import { fileURLToPath } from 'node:url';
import { isAllowed } from '../../core/process.ts';
import type { Culprit } from '../../types/index.ts';
import { throughInlineMap } from './inline-source-map.ts';
import {
  inspect,
  type Inspection,
  type RemoteFunction,
  type RemoteProperty,
  type Script,
} from './inspector-session.ts';

/** So many of the last listeners are looked at: a leak has made most of what is there. */
const LOOKED_AT = 25;
const MAX_NAMES = 2_000;

interface Place {
  readonly scriptId: string;
  readonly line: number;
  readonly column: number;
  readonly name: string | null;
  votes: number;
}

/**
 * Function, file and line of the listeners that most are copies of, read from the functions themselves through the
 * inspector of this process; null where `--permission` denies it.
 */
export function locateListeners(emitter: EventEmitter, event: string): Culprit | null {
  const functions = newestListeners(emitter, event);
  if (functions.length === 0 || !isAllowed('inspector')) return null;
  return inspect((inspection) => {
    const scripts = inspection.scripts();
    const places = new Map<string, Place>();
    for (const listener of functions) vote(places, placeOf(inspection, listener));
    const place = [...places.values()].sort((a, b) => b.votes - a.votes)[0];
    if (place === undefined) return null;
    return culprit(place, scripts.get(place.scriptId), { event, share: place.votes / functions.length });
  });
}

function newestListeners(emitter: EventEmitter, event: string): object[] {
  const { prototype } = EventEmitter;
  const newest = (name: string | symbol): object[] =>
    prototype.listeners.call(emitter, name).slice(-LOOKED_AT);
  const all = prototype.eventNames.call(emitter);
  if (event !== '*') return newest(all.find((name) => String(name) === event) ?? event);
  const names = all.slice(-MAX_NAMES);
  const counts = names.map((name) => prototype.listenerCount.call(emitter, name));
  const most = counts.indexOf(Math.max(...counts));
  const top = names[most];
  if (top === undefined) return [];
  if ((counts[most] ?? 0) > LOOKED_AT) return newest(top);
  // One name per user or request: each has a listener or two.
  return names.slice(-LOOKED_AT).flatMap(newest);
}

interface Location {
  readonly scriptId: string;
  readonly lineNumber: number;
  readonly columnNumber?: number;
}

function placeOf(inspection: Inspection, listener: object): Place | null {
  let seen = inspection.describe(listener);
  let place: Place | null = null;
  for (let depth = 0; depth < MOST_LAYERS; depth += 1) {
    const location = valueOf(seen.internal, '[[FunctionLocation]]')?.value as Location | undefined;
    place = location === undefined ? place : placeAt(location, valueOf(seen.own, 'name')?.value);
    // A bound function has no place of its own, only its target has; the place of a wrapper is its library's.
    const inner =
      location === undefined
        ? valueOf(seen.internal, '[[TargetFunction]]')?.objectId
        : wrapped(inspection, seen, place?.name ?? '');
    if (inner === undefined) return place;
    seen = inspection.describeRemote(inner);
  }
  return place;
}

const placeAt = ({ scriptId, lineNumber, columnNumber = 0 }: Location, name: unknown): Place => ({
  scriptId,
  line: lineNumber + 1,
  column: columnNumber + 1,
  name: typeof name === 'string' && name !== '' ? name : null,
  votes: 1,
});

/** Lodash and its kin name their wrappers alike, and keep what they wrap in a variable of the scope around them. */
function wrapped(inspection: Inspection, { internal }: RemoteFunction, name: string): string | undefined {
  if (!WRAPPER.test(name)) return undefined;
  const scopes = inspection.describeRemote(valueOf(internal, '[[Scopes]]')?.objectId).own;
  const variables = inspection.describeRemote(valueOf(scopes, '0')?.objectId).own;
  const inner = variables.find(
    (variable) => WRAPPED.test(variable.name) && variable.value?.type === 'function',
  );
  return inner?.value?.objectId;
}
const WRAPPER = /^(?:debounced|throttled|wrapped|wrapper|memoized|invokeFunc)$/;
const WRAPPED = /^(?:func|fn|callback|listener|handler)$/;
const MOST_LAYERS = 6;

const valueOf = (properties: readonly RemoteProperty[], name: string): RemoteProperty['value'] =>
  properties.find((property) => property.name === name)?.value;

function vote(places: Map<string, Place>, place: Place | null): void {
  if (place === null) return;
  const key = `${place.scriptId}:${place.line}:${place.column}`;
  const known = places.get(key);
  if (known === undefined) places.set(key, place);
  else known.votes += 1;
}

function culprit(
  place: Place,
  script: Script | undefined,
  { event, share }: { event: string; share: number },
): Culprit {
  const url = script?.url ?? '';
  const ran = url.startsWith('file:') ? fileURLToPath(url) : url;
  const known = ran !== '';
  const { line, column } = place;
  const written = known ? throughInlineMap(script?.sourceMapUrl ?? '', { file: ran, line, column }) : null;
  const at = written ?? { file: ran, line };
  const name = place.name ?? 'an anonymous function';
  return {
    text: `${event === '*' ? 'listener' : `listener of '${event}'`}: ${name} at ${known ? at.file : 'unknown'}:${at.line}`,
    name: event,
    file: known ? at.file : null,
    line: at.line,
    // A place that was led back has none, so that nobody leads it back again.
    ...(written === null ? { column } : {}),
    function: place.name,
    package: packageOf(ran),
    confidence: known ? Math.round(share * 95) / 100 : 0,
  };
}

function packageOf(file: string): string | null {
  const parts = file.split(/[\\/]/);
  const at = parts.lastIndexOf('node_modules');
  const [scope, name] = at === -1 ? [] : parts.slice(at + 1);
  if (scope === undefined) return null;
  return scope.startsWith('@') ? `${scope}/${name ?? ''}` : scope;
}
