/** Locates the listeners of an emitter: function, file and line, read from the functions themselves by the inspector. */
import EventEmitter from 'node:events';
import { findSourceMap } from 'node:module';
import { getHeapStatistics } from 'node:v8';
import { isAllowed } from '../../core/process.ts';
import type { Clock, CodePlace, Culprit } from '../../types/index.ts';
import { FunctionLocator, type FunctionLocation, type LocatedFunction } from './function-locator.ts';
import { mapByEntry, mapThroughInlineMap, type SourceLine } from './inline-source-map.ts';
import { withInspector } from './inspector-session.ts';
import { observeListeningCall, type CallPlace } from './listening-call.ts';
import { isApplicationFile, packageOfFile } from './script-origin.ts';

/** A leak has added most of the newest listeners, so a sample of the newest is enough. */
const MAX_SAMPLED_LISTENERS = 25;
/** Each search takes up to 60 ms (measured). */
const MAX_SEARCHED_LISTENERS = 2;
const MAX_EVENT_NAMES = 2_000;
/** Confidence when all sampled listeners share one location. */
const MAX_CONFIDENCE = 0.95;
/** V8 walks the heap to list the scripts: 0.4 ms for each MB (measured), so at most 250 ms. */
const MAX_HEAP_BYTES = 600e6;
const TRANSPILED_FILE = /\.(?:[cm]?ts|[jt]sx)$/;

/**
 * The location that most of the newest listeners of `event` share; `*` stands for the event with most listeners. A listener
 * that a package or Node has made leads to the function of the application that it wraps, else to the call that adds the
 * next one. Null where there are none or `--permission` denies the inspector.
 */
export async function locateListeners(
  emitter: EventEmitter,
  event: string,
  clock: Clock,
): Promise<Culprit | null> {
  const listeners = newestListeners(emitter, event);
  if (listeners.length === 0) return null;
  const subject = { name: event, text: event === '*' ? 'listener' : `listener of '${event}'` };
  const located = locateNewest(listeners);
  if (located !== null && isApplicationFile(located.place.file ?? '')) return culpritAt(subject, located);
  const call = await observeListeningCall(emitter, event, clock);
  if (call === null) return located === null ? null : culpritAt(subject, located);
  return culpritAt(subject, {
    place: placeOfCall(call),
    through: located?.place ?? null,
    share: call.share,
  });
}

/** The functions of a root cause: `name` of the root cause, and the start of its text. */
interface FunctionSubject {
  readonly name: string;
  readonly text: string;
}

/** The location in the application that most of the functions share, or of the functions that they wrap. Null without one. */
export function locateFunctions(functions: readonly object[], subject: FunctionSubject): Culprit | null {
  const located = functions.length === 0 ? null : locateNewest(functions);
  return located !== null && isApplicationFile(located.place.file ?? '') ? culpritAt(subject, located) : null;
}

interface Located {
  readonly place: CodePlace;
  readonly through: CodePlace | null;
  readonly share: number;
}

function locateNewest(listeners: readonly object[]): Located | null {
  const isTooLarge = getHeapStatistics().used_heap_size > MAX_HEAP_BYTES;
  if (isTooLarge || !isAllowed('inspector')) return null;
  return withInspector((session) => {
    const locator = new FunctionLocator(session);
    const placed = listeners.flatMap((listener) => {
      const located = locator.locate(listener);
      return located === null ? [] : [{ listener, located }];
    });
    const common = mostFrequent(placed);
    const [first] = common;
    if (first === undefined) return null;
    const { location, wrapper } = first.located;
    if (location.file === '') return null;
    const inside = isApplicationFile(location.file) ? null : applicationFunction(locator, common);
    const through = inside === null ? wrapper : location;
    return {
      place: placeOf(inside ?? location, locator),
      through: through === null ? null : placeOf(through, locator),
      share: common.length / listeners.length,
    };
  });
}

function applicationFunction(locator: FunctionLocator, common: readonly Placed[]): FunctionLocation | null {
  for (const { listener } of common.slice(-MAX_SEARCHED_LISTENERS)) {
    const inside = locator.findApplicationFunction(listener);
    if (inside !== null) return inside;
  }
  return null;
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

interface Placed {
  readonly listener: object;
  readonly located: LocatedFunction;
}

/** The listeners of the location that most of them share. */
function mostFrequent(all: readonly Placed[]): readonly Placed[] {
  const groups = new Map<string, Placed[]>();
  for (const placed of all) {
    const { scriptId, line, column } = placed.located.location;
    const key = `${scriptId}:${line}:${column}`;
    const group = groups.get(key) ?? [];
    groups.set(key, [...group, placed]);
  }
  return [...groups.values()].sort((a, b) => b.length - a.length)[0] ?? [];
}

function placeOf(location: FunctionLocation, locator: FunctionLocator): CodePlace {
  const { file, line, column, functionName } = location;
  const canMap = TRANSPILED_FILE.test(file) && isApplicationFile(file);
  const mapped = canMap ? (mapByNode(location) ?? mapByScript(location, locator)) : null;
  return {
    file: mapped?.file ?? file,
    line: mapped?.line ?? line,
    // A mapped location has no column: with a column the watcher would map it a second time.
    ...(mapped === null ? { column } : {}),
    function: functionName,
    package: packageOfFile(file),
  };
}

type Generated = SourceLine & { readonly column: number };

/** Node has read the source maps itself under `--enable-source-maps`, which tsx switches on. */
function mapByNode(place: Generated): SourceLine | null {
  const map = findSourceMap(place.file);
  return map === undefined ? null : mapByEntry(map, place);
}

/** ts-node and similar tools leave the map only in the script. The watcher reads the maps of files on disk. */
const mapByScript = (location: FunctionLocation, locator: FunctionLocator): SourceLine | null =>
  mapThroughInlineMap(locator.parsedScript(location.scriptId)?.sourceMapUrl ?? '', location);

function placeOfCall({ file, line, column, functionName }: CallPlace): CodePlace {
  const mapped = TRANSPILED_FILE.test(file) ? mapByNode({ file, line, column }) : null;
  return {
    file: mapped?.file ?? file,
    line: mapped?.line ?? line,
    ...(mapped === null ? { column } : {}),
    function: functionName,
    package: null,
  };
}

function culpritAt(subject: FunctionSubject, { place, through, share }: Located): Culprit {
  const wrapper = through === null ? '' : `, through ${describeWrapper(through)}`;
  return {
    text: `${subject.text}: ${place.function ?? 'an anonymous function'} at ${place.file}:${place.line}${wrapper}`,
    name: subject.name,
    ...place,
    ...(through === null ? {} : { through }),
    confidence: Math.round(share * MAX_CONFIDENCE * 100) / 100,
  };
}

/** `rxjs fromEvent.js:54`, `node:events:1157`. */
function describeWrapper({ file, line, package: name }: CodePlace): string {
  const base = name === null ? file : file?.split(/[\\/]/).at(-1);
  return `${name === null ? '' : `${name} `}${base}:${line}`;
}
