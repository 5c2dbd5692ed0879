import EventEmitter from 'node:events';
import { Session } from 'node:inspector';
import { fileURLToPath } from 'node:url';
import type { Culprit } from '../types.ts';

/** So many of the last listeners are looked at: a leak has made most of what is there. */
const LOOKED_AT = 25;
const MAX_NAMES = 2_000;

interface Place {
  readonly scriptId: string;
  readonly line: number;
  readonly name: string | null;
  votes: number;
}

/**
 * Function, file and line of the listeners that most are copies of, read from the functions themselves through the
 * inspector of this process. All in one job: while the debugger is enabled no line of the application runs.
 */
export function locateListeners(emitter: EventEmitter, event: string): Culprit | null {
  const functions = newestListeners(emitter, event);
  if (functions.length === 0) return null;
  const session = new Session();
  const scope = globalThis as unknown as Record<symbol, unknown>;
  session.connect();
  try {
    const urls = scriptUrls(session);
    const places = new Map<string, Place>();
    for (const listener of functions) {
      scope[SHELF] = listener;
      vote(places, placeOf(session));
    }
    const place = [...places.values()].sort((a, b) => b.votes - a.votes)[0];
    if (place === undefined) return null;
    return culprit(place, urls.get(place.scriptId) ?? '', { event, share: place.votes / functions.length });
  } finally {
    delete scope[SHELF];
    session.post('Debugger.disable');
    session.disconnect();
  }
}

const SHELF = Symbol.for('wsguard.shelf');

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

/** The debugger tells the scripts' names as it is enabled, and only then. */
function scriptUrls(session: Session): ReadonlyMap<string, string> {
  const urls = new Map<string, string>();
  const onParsed = ({ params }: { params: { scriptId: string; url: string } }): void => {
    urls.set(params.scriptId, params.url);
  };
  session.on('Debugger.scriptParsed', onParsed);
  session.post('Debugger.enable');
  session.removeListener('Debugger.scriptParsed', onParsed);
  return urls;
}

interface Remote {
  readonly objectId?: string;
  readonly description?: string;
}
interface Property {
  readonly name: string;
  readonly value?: { readonly value?: unknown; readonly objectId?: string };
}
interface Location {
  readonly scriptId: string;
  readonly lineNumber: number;
}

/** `post` answers before it returns, since the inspected thread is this one. */
function ask<T>(session: Session, method: string, params: object): T | null {
  let answer: T | null = null;
  session.post(method, params, (error: Error | null, result: object | undefined) => {
    if (error === null) answer = result as T;
  });
  return answer;
}

function placeOf(session: Session): Place | null {
  const expression = "globalThis[Symbol.for('wsguard.shelf')]";
  const found = ask<{ result: Remote }>(session, 'Runtime.evaluate', { expression, silent: true });
  let objectId = found?.result.objectId;
  // A bound function has no place of its own, only its target has.
  for (let depth = 0; objectId !== undefined && depth < 4; depth += 1) {
    const own = ask<{ result: Property[]; internalProperties?: Property[] }>(
      session,
      'Runtime.getProperties',
      {
        objectId,
        ownProperties: true,
      },
    );
    const internal = own?.internalProperties ?? [];
    const location = internal.find(({ name }) => name === '[[FunctionLocation]]')?.value?.value as
      Location | undefined;
    if (location !== undefined) {
      const name = own?.result.find((property) => property.name === 'name')?.value?.value;
      return {
        scriptId: location.scriptId,
        line: location.lineNumber + 1,
        name: typeof name === 'string' && name !== '' ? name : null,
        votes: 1,
      };
    }
    objectId = internal.find(({ name }) => name === '[[TargetFunction]]')?.value?.objectId;
  }
  return null;
}

function vote(places: Map<string, Place>, place: Place | null): void {
  if (place === null) return;
  const key = `${place.scriptId}:${place.line}`;
  const known = places.get(key);
  if (known === undefined) places.set(key, place);
  else known.votes += 1;
}

function culprit(place: Place, url: string, { event, share }: { event: string; share: number }): Culprit {
  const file = url.startsWith('file:') ? fileURLToPath(url) : url;
  const known = file !== '';
  const name = place.name ?? 'an anonymous function';
  return {
    text: `${event === '*' ? 'listener' : `listener of '${event}'`}: ${name} at ${known ? file : 'unknown'}:${place.line}`,
    name: event,
    file: known ? file : null,
    line: place.line,
    function: place.name,
    package: packageOf(file),
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
