/** A bounded list of weak references that makes room when its objects are gone. */
import { MajorGcMarker } from './major-gc-marker.ts';

export interface WeakEntry<T extends object, D> {
  readonly target: T;
  readonly data: D;
}

interface Stored<T extends object, D> {
  readonly ref: WeakRef<T>;
  readonly data: D;
}

export class WeakList<T extends object, D = null> {
  readonly #maxEntries: number;
  readonly #onGone: (data: D) => void;
  #stored: Stored<T, D>[] = [];
  /** A full list is swept once after each major GC, so that a storm of objects does not sweep each time. */
  readonly #majorGc = new MajorGcMarker();
  #refusedTotal = 0;

  /** `onGone` is called for each entry whose object was garbage collected. */
  constructor(maxEntries: number, onGone: (data: D) => void = () => undefined) {
    this.#maxEntries = maxEntries;
    this.#onGone = onGone;
  }

  /** Objects that found no room so far. */
  get refusedTotal(): number {
    return this.#refusedTotal;
  }

  add(target: T, data: D): boolean {
    if (this.#stored.length >= this.#maxEntries) this.sweep();
    if (this.#stored.length >= this.#maxEntries) {
      this.#refusedTotal += 1;
      return false;
    }
    this.#stored.push({ ref: new WeakRef(target), data });
    return true;
  }

  some(matches: (entry: WeakEntry<T, D>) => boolean): boolean {
    return this.#stored.some(({ ref, data }) => {
      const target = ref.deref();
      return target !== undefined && matches({ target, data });
    });
  }

  /** Removes entries whose objects are gone, unless it did so since the last major GC. */
  sweep(): void {
    if (this.#majorGc.hasRun()) this.read();
  }

  clear(): void {
    this.#stored = [];
  }

  /** The live entries. A reading also makes room. */
  read(): WeakEntry<T, D>[] {
    const live: WeakEntry<T, D>[] = [];
    this.#stored = this.#stored.filter(({ ref, data }) => {
      const target = ref.deref();
      if (target === undefined) this.#onGone(data);
      else live.push({ target, data });
      return target !== undefined;
    });
    return live;
  }
}
