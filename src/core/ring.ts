/** A window of the last `capacity` values; what falls out is counted. */
export class Ring<T> {
  readonly capacity: number;
  #values: T[] = [];
  #dropped = 0;

  constructor(capacity: number) {
    this.capacity = capacity;
  }

  push(value: T): void {
    this.#values.push(value);
    if (this.#values.length > this.capacity) {
      this.#values.shift();
      this.#dropped += 1;
    }
  }

  get values(): readonly T[] {
    return this.#values;
  }

  get last(): T | undefined {
    return this.#values.at(-1);
  }

  get dropped(): number {
    return this.#dropped;
  }

  clear(): void {
    this.#values = [];
  }
}
