/** Detects whether the application removes items from the front of an array, which makes the array a queue. */
import { readField } from './field-reader.ts';

/** Only the start of a string is hashed, and no part is kept: a slice would keep the complete string alive. */
const HASHED_CHARS = 64;
/** Below both bounds the array is a history that the application cuts from time to time. */
const MIN_REMOVALS = 10;
const MIN_REMOVAL_SHARE = 0.5;

/** An object is marked by a weak reference, a string by its hash, other values by null. */
type ItemMark = WeakRef<object> | number | null;

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
  if (typeof item !== 'string') return null;
  let hash = item.length;
  for (let index = 0; index < Math.min(HASHED_CHARS, item.length); index += 1)
    hash = (hash * 31 + item.charCodeAt(index)) | 0;
  return hash;
}
