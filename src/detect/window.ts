/** The last hour as columns on one time axis: a row a tick, a column a series, `NaN` where a value was missing. */

interface Column {
  readonly values: Float64Array;
  /** Since it last held a number; one that left the window makes room for another. */
  silentRows: number;
}

export class Window {
  readonly #capacity: number;
  readonly #maxSeries: number;
  readonly #times: Float64Array;
  readonly #columns = new Map<string, Column>();
  #rows = 0;
  /** Values refused because the window holds as many series as it may. */
  droppedValues = 0;

  constructor(capacity: number, maxSeries: number) {
    this.#capacity = capacity;
    this.#maxSeries = maxSeries;
    this.#times = new Float64Array(capacity);
  }

  get rows(): number {
    return this.#rows;
  }

  push(timeMs: number, values: ReadonlyMap<string, number>): void {
    if (this.#rows === this.#capacity) this.#shift();
    const row = this.#rows;
    this.#times[row] = timeMs;
    this.#rows += 1;
    let known = 0;
    for (const [key, column] of this.#columns) {
      const given = values.get(key);
      if (given !== undefined) known += 1;
      const value = given ?? Number.NaN;
      column.values[row] = value;
      column.silentRows = Number.isNaN(value) ? column.silentRows + 1 : 0;
      if (column.silentRows >= this.#capacity) this.#columns.delete(key);
    }
    if (known === values.size) return;
    for (const [key, value] of values) if (!this.#columns.has(key)) this.#add(key, row, value);
  }

  times(fromRow = 0): Float64Array {
    return this.#times.subarray(fromRow, this.#rows);
  }

  /** A view, not a copy: good until the next push. */
  column(key: string, fromRow = 0): Float64Array {
    const column = this.#columns.get(key);
    return column === undefined
      ? new Float64Array(this.#rows - fromRow).fill(Number.NaN)
      : column.values.subarray(fromRow, this.#rows);
  }

  has(key: string): boolean {
    return this.#columns.has(key);
  }

  /** The first row at or after a time. */
  rowAt(timeMs: number): number {
    let row = this.#rows;
    while (row > 0 && (this.#times[row - 1] ?? 0) >= timeMs) row -= 1;
    return row;
  }

  clear(): void {
    this.#rows = 0;
    this.#columns.clear();
  }

  #add(key: string, row: number, value: number): void {
    if (this.#columns.size >= this.#maxSeries) {
      this.droppedValues += 1;
      return;
    }
    const column = new Float64Array(this.#capacity).fill(Number.NaN);
    column[row] = value;
    this.#columns.set(key, { values: column, silentRows: 0 });
  }

  #shift(): void {
    this.#times.copyWithin(0, 1);
    for (const { values } of this.#columns.values()) values.copyWithin(0, 1);
    this.#rows -= 1;
  }
}
