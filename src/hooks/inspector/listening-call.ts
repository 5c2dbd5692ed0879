/**
 * Finds the line of the application that adds listeners, from the stack of the next additions. Node's `events.on()` and
 * `pipe()` add listeners that refer to no function of the application, so only the stack leads back to it.
 */
import EventEmitter from 'node:events';
import { callSites } from '../../core/call-sites.ts';
import type { Clock } from '../../types/index.ts';
import { isApplicationFile, scriptFile } from './script-origin.ts';

export interface CallPlace {
  /** The script's own name: a path or a URL. */
  readonly url: string;
  readonly file: string;
  /** From 1, as the column. */
  readonly line: number;
  readonly column: number;
  readonly functionName: string | null;
  /** Share of the observed additions that came from this line. */
  readonly share: number;
}

const MAX_CALLS = 5;
/** The watcher waits 30 s for the location of a listener. */
const MAX_WAIT_MS = 20_000;
/** Each frame costs 1 us; a framework can have thirty frames between the application and the emitter. */
const MAX_FRAMES = 60;

/**
 * Listens for `newListener` until it has seen a few additions of `event` (`*`: of any event). Null when nothing is added in
 * time, or no frame belongs to the application.
 */
export function observeListeningCall(
  emitter: EventEmitter,
  event: string,
  clock: Clock,
): Promise<CallPlace | null> {
  // The original methods, because a class may have overridden its own.
  const { prototype } = EventEmitter;
  // Its removal would be an event for the application.
  if (prototype.listenerCount.call(emitter, 'removeListener') > 0) return Promise.resolve(null);
  return new Promise((resolve) => {
    const places: Omit<CallPlace, 'share'>[] = [];
    let calls = 0;
    const finish = (): void => {
      cancel();
      prototype.removeListener.call(emitter, 'newListener', onNewListener);
      resolve(mostFrequent(places, calls));
    };
    function onNewListener(added: string | symbol): void {
      if (event !== '*' && String(added) !== event) return;
      try {
        const place = placeOfCaller(onNewListener);
        if (place !== null) places.push(place);
      } catch {
        // The application may have frozen `Error`. Its own call must succeed all the same.
      }
      calls += 1;
      if (calls === MAX_CALLS) finish();
    }
    prototype.on.call(emitter, 'newListener', onNewListener);
    const cancel = clock.after(MAX_WAIT_MS, finish);
  });
}

/** The first frame of the application, also above an `await`. */
function placeOfCaller(above: (added: string | symbol) => void): Omit<CallPlace, 'share'> | null {
  for (const frame of callSites(MAX_FRAMES, above)) {
    const url = frame.getFileName() ?? '';
    const [line, column] = [frame.getLineNumber(), frame.getColumnNumber()];
    const file = scriptFile(url);
    if (line === null || column === null || !isApplicationFile(file)) continue;
    return { url, file, line, column, functionName: frame.getFunctionName() };
  }
  return null;
}

function mostFrequent(places: readonly Omit<CallPlace, 'share'>[], calls: number): CallPlace | null {
  const keyOf = ({ url, line, column }: Omit<CallPlace, 'share'>): string => `${url}:${line}:${column}`;
  const counts = new Map<string, number>();
  for (const place of places) counts.set(keyOf(place), (counts.get(keyOf(place)) ?? 0) + 1);
  const [first] = [...counts].sort((a, b) => b[1] - a[1]);
  if (first === undefined) return null;
  const place = places.find((each) => keyOf(each) === first[0])!;
  return { ...place, share: first[1] / calls };
}
