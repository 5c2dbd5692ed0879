/** `Window`: the last hour of samples as columns of numbers on one time axis. A missing value is `NaN`. */

import type { Column } from './sample-row.ts';

/** Most processes have a few columns: the buffer starts small and doubles. */
const INITIAL_COLUMNS = 32;
/** The detectors use the whole window and the window of counts. */
const MAX_VIEWS = 4;

interface Values {
  /** Index of the first number in the buffer. */
  readonly offset: number;
  /** The latest views of the numbers, by their first row. A view costs more than the sums over it. */
  readonly views: Map<number, Float64Array>;
  /** The latest append with a number. A column without any number in the window makes room for another. */
  lastAppend: number;
}

export class Window {
  readonly #capacity: number;
  readonly #maxColumns: number;
  readonly #times: Float64Array;
  readonly #timeViews = new Map<number, Float64Array>();
  /** The numbers of all columns, one after the other: one move drops the first row of all of them. */
  #numbers: Float64Array;
  /** The values of a column that the window does not have. */
  readonly #missing: Float64Array;
  /** Offsets of columns that were removed. */
  readonly #freeOffsets: number[] = [];
  readonly #columns = new Map<Column, Values>();
  #rows = 0;
  #appends = 0;
  #droppedValues = 0;

  constructor(capacity: number, maxColumns: number) {
    this.#capacity = capacity;
    this.#maxColumns = maxColumns;
    this.#times = new Float64Array(capacity);
    this.#numbers = new Float64Array(capacity * Math.min(INITIAL_COLUMNS, maxColumns));
    this.#missing = new Float64Array(capacity).fill(Number.NaN);
  }

  get rows(): number {
    return this.#rows;
  }

  /** Values that were refused because the window has its maximum of columns. */
  get droppedValues(): number {
    return this.#droppedValues;
  }

  /** `values[i]` is the number of `columns[i]`. The other columns have none in this row. */
  append(timeMs: number, columns: readonly Column[], values: readonly number[]): void {
    if (this.#rows === this.#capacity) this.#dropFirstRow();
    const index = this.#rows;
    this.#times[index] = timeMs;
    this.#rows += 1;
    this.#appends += 1;
    for (let cell = index; cell < this.#numbers.length; cell += this.#capacity)
      this.#numbers[cell] = Number.NaN;
    let isComplete = true;
    for (let i = 0; i < columns.length; i += 1) {
      const column = this.#columns.get(columns[i]!);
      if (column === undefined) isComplete = false;
      else this.#setLast(column, values[i]!);
    }
    if (isComplete) return;
    this.#removeEmptyColumns();
    // A column can be in a row more than once, so it may be there by now.
    for (const [i, name] of columns.entries()) {
      const column = this.#columns.get(name) ?? this.#addColumn(name);
      if (column === null) this.#droppedValues += 1;
      else this.#setLast(column, values[i]!);
    }
  }

  #setLast(column: Values, value: number): void {
    this.#numbers[column.offset + this.#rows - 1] = value;
    if (!Number.isNaN(value)) column.lastAppend = this.#appends;
  }

  /** A view of the times; valid until the next `append`. */
  times(fromRow = 0): Float64Array {
    return this.#view(this.#times, { offset: 0, views: this.#timeViews }, fromRow);
  }

  /** A view of the values; valid until the next `append`. All `NaN` for a column that the window does not have. */
  column(column: Column, fromRow = 0): Float64Array {
    const values = this.#columns.get(column);
    if (values === undefined) return this.#missing.subarray(fromRow, this.#rows);
    return this.#view(this.#numbers, values, fromRow);
  }

  #view(
    numbers: Float64Array,
    { offset, views }: Pick<Values, 'offset' | 'views'>,
    fromRow: number,
  ): Float64Array {
    const cached = views.get(fromRow);
    // A full window moves its numbers, and the views with them.
    if (cached !== undefined && cached.length === this.#rows - fromRow) return cached;
    if (views.size >= MAX_VIEWS) views.clear();
    const view = numbers.subarray(offset + fromRow, offset + this.#rows);
    views.set(fromRow, view);
    return view;
  }

  /** The latest value; `NaN` when it is missing. */
  latest(column: Column): number {
    const values = this.#columns.get(column);
    return values === undefined || this.#rows === 0
      ? Number.NaN
      : (this.#numbers[values.offset + this.#rows - 1] ?? Number.NaN);
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
    this.#freeOffsets.length = 0;
  }

  /** Null when the window has its maximum of columns. */
  #addColumn(column: Column): Values | null {
    if (this.#columns.size >= this.#maxColumns) return null;
    // A removed column leaves its place; without one, the places are taken in order.
    const offset = this.#freeOffsets.pop() ?? this.#columns.size * this.#capacity;
    if (offset === this.#numbers.length) this.#growBuffer();
    this.#numbers.fill(Number.NaN, offset, offset + this.#capacity);
    const values = { offset, views: new Map(), lastAppend: this.#appends };
    this.#columns.set(column, values);
    return values;
  }

  #growBuffer(): void {
    const numbers = new Float64Array(2 * this.#numbers.length);
    numbers.set(this.#numbers);
    this.#numbers = numbers;
    for (const { views } of this.#columns.values()) views.clear();
  }

  #removeEmptyColumns(): void {
    for (const [column, { offset, lastAppend }] of this.#columns) {
      if (this.#appends - lastAppend < this.#capacity) continue;
      this.#columns.delete(column);
      this.#freeOffsets.push(offset);
    }
  }

  #dropFirstRow(): void {
    this.#times.copyWithin(0, 1);
    // The last number of each column is now the first one of the next; the append that follows replaces it.
    this.#numbers.copyWithin(0, 1, (this.#columns.size + this.#freeOffsets.length) * this.#capacity);
    this.#rows -= 1;
  }
}
