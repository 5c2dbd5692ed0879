/** Reads from the entries of a collection whether the application may still remove them, at a time that it has noted in them. */
import { isDate } from 'node:util/types';
import { dateMs } from '../../core/primordials.ts';
import { firstEntries } from './collection.ts';
import { namesOf, readField } from './field-reader.ts';

const EXPIRY_NAME = /expir|reset|valid_?until|ttl_?end/i;
const MAX_NAMES = 50;
/** 2001 in milliseconds: a smaller number counts seconds, or is no time. */
const MIN_WALL_MS = 1e12;
const MIN_WALL_S = 1e9;

/** `{ user, expiresAt: 1790000000000 }` in the future: the application may still remove it. */
export function awaitsExpiry(collection: object, wallMs: number): boolean {
  return firstEntries(collection, 1).some(([, value]) => {
    if (typeof value !== 'object' || value === null) return false;
    return namesOf(value)
      .slice(0, MAX_NAMES)
      .some((name) => EXPIRY_NAME.test(name) && toWallMs(readField(value, name)) > wallMs);
  });
}

/** The time of the last event: a sweep removes the entries in which it is old. Every entry may have the time of its start. */
const LAST_EVENT_NAME = /clos|disconnect|left|ended|seen|heard|activ|idle|expir|until|ttl/i;

/** `{ ws, lastSeen: 1790000000000 }`: a Date, or a number that is no counter. Reads the oldest entry. */
export const haveLastEventTime = (collection: object): boolean =>
  firstEntries(collection, 1).some(
    ([, value]) =>
      typeof value === 'object' &&
      value !== null &&
      namesOf(value)
        .slice(0, MAX_NAMES)
        .some((name) => LAST_EVENT_NAME.test(name) && isTime(readField(value, name))),
  );

/** A time of the wall clock, or since the start of the process, which has a fraction. */
const isTime = (value: unknown): boolean =>
  isDate(value) || (typeof value === 'number' && (value > MIN_WALL_S || !Number.isInteger(value)));

/** Negative infinity for a value that is no time. */
function toWallMs(value: unknown): number {
  // A Date has no own fields, and its methods can be replaced.
  const time = isDate(value) ? dateMs(value) : value;
  if (typeof time !== 'number' || !(time > MIN_WALL_S)) return Number.NEGATIVE_INFINITY;
  return time > MIN_WALL_MS ? time : time * 1_000;
}
