/** `Window`: the last hour of samples as columns of numbers on one time axis. A missing value is `NaN`. */

import type { Column } from './sample-row.ts';

/** The detectors use the whole window and the window of counts. */
const MAX_VIEWS = 4;

interface Values {
  readonly numbers: Float64Array;
  /** The latest views of the numbers, by their first row. A view costs more than the sums over it. */
  readonly views: Map<number, Float64Array>;
  /** Rows since the last number. A column without any number in the window makes room for another. */
  missingRows: number;
}

export class Window {
  readonly #capacity: number;
  readonly #maxColumns: number;
  readonly #times: Float64Array;
  readonly #columns = new Map<Column, Values>();
  #rows = 0;
  #droppedValues = 0;

  constructor(capacity: number, maxColumns: number) {
    this.#capacity = capacity;
    this.#maxColumns = maxColumns;
    this.#times = new Float64Array(capacity);
  }

  get rows(): number {
    return this.#rows;
  }

  /** Values that were refused because the window has its maximum of columns. */
  get droppedValues(): number {
    return this.#droppedValues;
  }

  append(timeMs: number, row: ReadonlyMap<Column, number>): void {
    if (this.#rows === this.#capacity) this.#dropFirstRow();
    const index = this.#rows;
    this.#times[index] = timeMs;
    this.#rows += 1;
    let matched = 0;
    for (const [column, values] of this.#columns) {
      const given = row.get(column);
      if (given !== undefined) matched += 1;
      const value = given ?? Number.NaN;
      values.numbers[index] = value;
      values.missingRows = Number.isNaN(value) ? values.missingRows + 1 : 0;
      if (values.missingRows >= this.#capacity) this.#columns.delete(column);
    }
    if (matched === row.size) return;
    for (const [column, value] of row) if (!this.#columns.has(column)) this.#addColumn(column, index, value);
  }

  /** A view of the times; valid until the next `append`. */
  times(fromRow = 0): Float64Array {
    return this.#times.subarray(fromRow, this.#rows);
  }

  /** A view of the values; valid until the next `append`. All `NaN` for a column that the window does not have. */
  column(column: Column, fromRow = 0): Float64Array {
    const values = this.#columns.get(column);
    if (values === undefined) return new Float64Array(this.#rows - fromRow).fill(Number.NaN);
    const { numbers, views } = values;
    const cached = views.get(fromRow);
    // A full window moves its numbers, and the views with them.
    if (cached !== undefined && cached.length === this.#rows - fromRow) return cached;
    if (views.size >= MAX_VIEWS) views.clear();
    const view = numbers.subarray(fromRow, this.#rows);
    views.set(fromRow, view);
    return view;
  }

  /** The latest value; `NaN` when it is missing. */
  latest(column: Column): number {
    return this.#columns.get(column)?.numbers[this.#rows - 1] ?? Number.NaN;
  }

  /** Index of the first row at or after a time. */
  rowAt(timeMs: number): number {
    let row = this.#rows;
    while (row > 0 && (this.#times[row - 1] ?? 0) >= timeMs) row -= 1;
    return row;
  }

  /** Mean time between two rows; 0 with fewer than two. */
  meanSpacingMs(): number {
    const rows = this.#rows;
    return rows < 2 ? 0 : ((this.#times[rows - 1] ?? 0) - (this.#times[0] ?? 0)) / (rows - 1);
  }

  clear(): void {
    this.#rows = 0;
    this.#columns.clear();
  }

  #addColumn(column: Column, row: number, value: number): void {
    if (this.#columns.size >= this.#maxColumns) {
      this.#droppedValues += 1;
      return;
    }
    const numbers = new Float64Array(this.#capacity).fill(Number.NaN);
    numbers[row] = value;
    this.#columns.set(column, { numbers, views: new Map(), missingRows: 0 });
  }

  #dropFirstRow(): void {
    this.#times.copyWithin(0, 1);
    for (const { numbers } of this.#columns.values()) numbers.copyWithin(0, 1);
    this.#rows -= 1;
  }
}
