/** `Ring` keeps the last `capacity` values, oldest first. */
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

  get values(): readonly T[] {
    return this.#values;
  }

  get last(): T | undefined {
    return this.#values.at(-1);
  }
}
