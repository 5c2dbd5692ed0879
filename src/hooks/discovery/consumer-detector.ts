/** Detects whether the application removes the oldest entries of a collection, as a consumer of a queue does. */
import { isMap, isSet } from 'node:util/types';
import { firstEntries, sizeOf } from './collection.ts';
import { readField } from './field-reader.ts';

/** Only the start of a string is hashed, and no part is kept: a slice would keep the complete string alive. */
const HASHED_CHARS = 64;
/** Below both bounds the array is a history that the application cuts from time to time. */
const MIN_REMOVALS = 10;
const MIN_REMOVAL_SHARE = 0.5;

/** An object is marked by a weak reference, a string by its hash, a number by itself, other values by null. */
type ItemMark = WeakRef<object> | number | null;

/** 5 min of readings, one bit each. */
const READINGS = 20;
const ALL_READINGS = 2 ** READINGS - 1;
/** An iterator skips the removed entries at the front of a Map one by one: 100,000 of them take 0.2 ms. */
const MAX_ITERATED = 50_000;

/** Compares the oldest entry of a Map or a Set from reading to reading. A leaked entry stays the oldest one. */
export class OldestEntryObserver {
  #previous: ItemMark = null;
  #readings = 0;
  /** One bit for each of the last readings: whether the oldest entry was another one. */
  #changes = 0;

  /** Whether the oldest entry was another one in most of the last readings. */
  update(collection: object): boolean {
    if (!isMap(collection) && !isSet(collection)) return false;
    if (sizeOf(collection) <= MAX_ITERATED) this.#compare(collection);
    // The consumer of a collection that has become so large may have stopped.
    else this.#changes = (this.#changes << 1) & ALL_READINGS;
    let changed = 0;
    for (let bits = this.#changes; bits !== 0; bits &= bits - 1) changed += 1;
    return this.#readings >= READINGS && changed * 2 > READINGS;
  }

  #compare(collection: object): void {
    const [key, value] = firstEntries(collection, 1)[0] ?? [];
    // The key of a Set is null. A value of a Map may be replaced while its entry stays.
    const item = isMap(collection) ? key : value;
    const isOther = this.#previous !== null && !isSameItem(this.#previous, item);
    this.#changes = ((this.#changes << 1) | Number(isOther)) & ALL_READINGS;
    this.#readings += 1;
    this.#previous = markOf(item);
  }
}

/** Compares the first item of an array from reading to reading. */
export class ConsumerDetector {
  #previous: ItemMark = null;
  #comparisons = 0;
  #removals = 0;
  #hasConsumer = false;

  /** Stays true once it is true: a queue whose consumer stops is a leak that the agent must report. */
  update(items: readonly unknown[]): boolean {
    if (this.#hasConsumer) return true;
    // An element can be a getter.
    const first = readField(items, 0);
    if (this.#previous !== null) {
      this.#comparisons += 1;
      if (!isSameItem(this.#previous, first)) this.#removals += 1;
    }
    this.#previous = markOf(first);
    this.#hasConsumer =
      this.#removals >= MIN_REMOVALS && this.#removals >= MIN_REMOVAL_SHARE * this.#comparisons;
    return this.#hasConsumer;
  }
}

/** Two equal strings in a row look like one string that stayed, which only delays the detection. */
const isSameItem = (mark: WeakRef<object> | number, item: unknown): boolean =>
  item !== undefined && (typeof mark === 'number' ? mark === markOf(item) : mark.deref() === item);

function markOf(item: unknown): ItemMark {
  if (typeof item === 'object' && item !== null) return new WeakRef(item);
  if (typeof item === 'number') return Number.isNaN(item) ? null : item;
  if (typeof item !== 'string') return null;
  let hash = item.length;
  for (let index = 0; index < Math.min(HASHED_CHARS, item.length); index += 1)
    hash = (hash * 31 + item.charCodeAt(index)) | 0;
  return hash;
}
