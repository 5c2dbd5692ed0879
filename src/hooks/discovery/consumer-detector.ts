/** Of strings so much is looked at: a slice would keep the whole alive. */
const CHARS = 64;
/** So many items seen to leave, at half of the readings, make a queue; a history that is cut now and then does not. */
const ENOUGH = { times: 10, share: 0.5 } as const;

/** Does somebody take from the front of this array? By the item that stands there from reading to reading, held weakly. */
export class Front {
  #before: WeakRef<object> | number | null = null;
  #readings = 0;
  #left = 0;
  #isTaken = false;

  /** True for good once it was taken from often: a consumer that stops later is what we are here for. */
  isTaken(items: readonly unknown[]): boolean {
    if (this.#isTaken) return true;
    const now = items[0];
    if (this.#before !== null) {
      this.#readings += 1;
      if (!isSame(this.#before, now)) this.#left += 1;
    }
    this.#before = markOf(now);
    this.#isTaken = this.#left >= ENOUGH.times && this.#left >= ENOUGH.share * this.#readings;
    return this.#isTaken;
  }
}

/** Two equal strings in a row look like one that stayed: then it is a list for longer. */
const isSame = (before: WeakRef<object> | number, now: unknown): boolean =>
  now !== undefined && (typeof before === 'number' ? before === markOf(now) : before.deref() === now);

function markOf(item: unknown): WeakRef<object> | number | null {
  if (typeof item === 'object' && item !== null) return new WeakRef(item);
  if (typeof item !== 'string') return null;
  let mark = item.length;
  for (let i = 0; i < Math.min(CHARS, item.length); i += 1) mark = (mark * 31 + item.charCodeAt(i)) | 0;
  return mark;
}
