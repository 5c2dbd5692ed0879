/** A window of the last `capacity` values. */
export class Ring<T> {
  readonly #capacity: number;
  readonly #values: T[] = [];

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  push(value: T): void {
    this.#values.push(value);
    if (this.#values.length > this.#capacity) this.#values.shift();
  }

  /** Oldest first. The array changes with the next `push`. */
  get values(): readonly T[] {
    return this.#values;
  }
}
