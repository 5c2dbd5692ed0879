/**
 * Counts the timers of this thread, unref'd ones too, in the lists in which Node keeps them: one list for each duration.
 * `clearTimeout` is a closure over the map of these lists, and the inspector shows the variables of a closure.
 */
import { withInspector } from '../inspector/inspector-session.ts';

/** A member of a list: the list itself, or a timer. The list refers to the newest timer, the oldest one to the list. */
interface ListMember {
  readonly _idleNext?: ListMember | null;
}
interface Timer extends ListMember {
  readonly _onTimeout?: unknown;
  /** The period of an interval; null for a timer that ends after its duration. */
  readonly _repeat?: number | null;
}
interface TimerList extends ListMember {
  readonly msecs: number;
}
/** The lists by their duration in milliseconds. */
export type TimerLists = Readonly<Record<string, TimerList>>;

/** 100,000 timers take 5 to 30 ms to count. */
const MAX_TIMERS = 100_000;

/** Null where Node keeps its timers in another way, or where something has replaced `clearTimeout`. */
export function findTimerLists(nodeClearTimeout: object): TimerLists | null {
  return withInspector((session) => {
    const { internal } = session.describe(nodeClearTimeout);
    const objectId = internal.find(({ name }) => name === '[[Scopes]]')?.value?.objectId;
    if (objectId === undefined) return null;
    // The array has no prototype and so no iterator.
    const scopes = Object.values((session.fetch(objectId) ?? {}) as Record<string, { object?: unknown }>);
    for (const { object } of scopes) {
      if (typeof object !== 'object' || object === null || object === globalThis) continue;
      const { timerListMap } = object as { timerListMap?: unknown };
      if (areTimerLists(timerListMap)) return timerListMap;
    }
    return null;
  });
}

function areTimerLists(lists: unknown): lists is TimerLists {
  if (typeof lists !== 'object' || lists === null) return false;
  return Object.values(lists as Record<string, Partial<TimerList> | null>).every(
    (list) => typeof list?.msecs === 'number' && typeof list._idleNext === 'object',
  );
}

/**
 * Calls `visit` for each list. `maxTimeoutMs`: a timer that ends after a longer duration does not count, because timers
 * such as the end of a session pile up until the first of them fires. Intervals count with any period. `visit` gets the
 * number of counted timers, and the number of all those that fire once.
 */
export function countTimers(
  lists: TimerLists,
  maxTimeoutMs: number,
  visit: (durationMs: number, count: number, timeouts: number) => void,
): void {
  let left = MAX_TIMERS;
  for (const list of Object.values(lists)) {
    let count = 0;
    let timeouts = 0;
    for (let timer = newestOf(list); timer !== null && left > 0; timer = olderThan(timer, list)) {
      if (isCounted(timer, list, maxTimeoutMs)) count += 1;
      if (!isInterval(timer)) timeouts += 1;
      left -= 1;
    }
    visit(list.msecs, count, timeouts);
  }
}

/** Callbacks of the newest counted timers of one duration. */
export function newestCallbacks(
  lists: TimerLists,
  { durationMs, maxTimeoutMs, max }: { durationMs: number; maxTimeoutMs: number; max: number },
): object[] {
  const callbacks: object[] = [];
  const list = lists[durationMs];
  if (list === undefined) return callbacks;
  let left = MAX_TIMERS;
  for (let timer = newestOf(list); timer !== null && left > 0; timer = olderThan(timer, list)) {
    if (callbacks.length === max) break;
    const { _onTimeout: callback } = timer;
    if (isCounted(timer, list, maxTimeoutMs) && typeof callback === 'function') callbacks.push(callback);
    left -= 1;
  }
  return callbacks;
}

const isCounted = (timer: Timer, { msecs }: TimerList, maxTimeoutMs: number): boolean =>
  msecs <= maxTimeoutMs || isInterval(timer);

const isInterval = ({ _repeat }: Timer): boolean => _repeat !== null && _repeat !== undefined;

const newestOf = (list: TimerList): Timer | null => olderThan(list, list);

const olderThan = (member: ListMember, list: TimerList): Timer | null => {
  const older = member._idleNext;
  return older === undefined || older === list ? null : older;
};
