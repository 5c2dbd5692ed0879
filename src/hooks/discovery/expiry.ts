/** Reads from the oldest entry of a collection whether the entries expire at a time that has not come yet. */
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

/** Negative infinity for a value that is no time. */
function toWallMs(value: unknown): number {
  // A Date has no own fields, and its methods can be replaced.
  const time = isDate(value) ? dateMs(value) : value;
  if (typeof time !== 'number' || !(time > MIN_WALL_S)) return Number.NEGATIVE_INFINITY;
  return time > MIN_WALL_MS ? time : time * 1_000;
}
