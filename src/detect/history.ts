/** `History`: the samples that the detectors look at, in scaled time. Only `append` changes it; the samples give the time. */

import type { Sample } from '../types/index.ts';
import { withPostGcHeap, withSurvivors, type PostGcHeap } from './post-gc-heaps.ts';
import {
  LIST_TYPES,
  rowOf,
  seriesColumn,
  validCount,
  visitSeries,
  zeroIfMissing,
  type Column,
  type FixedRow,
  type Series,
  type SeriesColumn,
  type SeriesType,
} from './sample-row.ts';
import { Window } from './window.ts';

export const MINUTE_MS = 60_000;
export const HOUR_MS = 60 * MINUTE_MS;
/** One row per half minute at most: more samples add cost and no information. */
const ROW_MS = 30_000;
/** An hour of rows: the longest window of a detector that reads rows. */
const ROWS = 128;
/** One row per 3 min: the same number of rows reaches back for more than six hours. */
const LONG_TERM_ROW_MS = 3 * MINUTE_MS;
/** Memory bound: 240 columns of 128 numbers are 240 KiB, for each of the two windows. */
const MAX_COLUMNS = 240;
/** After such a gap the earlier counts say nothing about the present ones. */
const MIN_GAP_MS = 10 * MINUTE_MS;
/** Recordings with rare samples have longer gaps. */
const MIN_GAP_ROWS = 10;
/** Memory follows the connections late where sessions outlive them: it is compared with their mean over this time too. */
const MEAN_CONNECTIONS_MS = 10 * MINUTE_MS;
const COARSE_MS = 5 * MINUTE_MS;
/** More than eight hours: the longest window of a detector that reads coarse points is six. */
const MAX_COARSE_POINTS = 100;

/** One point per five minutes, for detectors that need hours. */
export interface CoarsePoint {
  readonly atMs: number;
  readonly responsive: number;
  readonly openedTotal: number;
  readonly closedTotal: number;
  /** Memory that counts against the limit of the container. */
  readonly usedBytes: number;
}

type ReadableWindow = Pick<Window, 'rows' | 'times' | 'column' | 'latest' | 'rowAt' | 'meanSpacingMs'>;

/** The rows in which a count is tested. */
export interface CountHistory {
  readonly window: ReadableWindow;
  readonly nowMs: number;
  readonly startedMs: number;
  readonly coarse: readonly CoarsePoint[];
}

export class History {
  readonly #window = new Window(ROWS, MAX_COLUMNS);
  readonly #longTermWindow = new Window(ROWS, MAX_COLUMNS);
  #longTerm: CountHistory | null = null;
  readonly #seriesByColumn = new Map<SeriesColumn, Series>();
  readonly #series: Series[] = [];
  readonly #lists: Series[] = [];
  /** The series in the order of the last sample. The next one has the same order, and building a column's name costs more. */
  readonly #visited: Series[] = [];
  #postGcHeaps: readonly PostGcHeap[] = [];
  #coarse: readonly CoarsePoint[] = [];
  #nowMs = 0;
  #startedMs = 0;
  #rebasedMs = 0;
  #last: Sample | null = null;
  #rowNumber = Number.NEGATIVE_INFINITY;
  #maxLoopP99Ms = Number.NaN;
  #connectionMs = 0;
  #meanResponsive = Number.NaN;
  #pausedUntilMs = 0;

  get window(): ReadableWindow {
    return this.#window;
  }

  /** The counts of the last hours; a new object with each of its rows. Null before the first. */
  get longTerm(): CountHistory | null {
    return this.#longTerm;
  }

  get series(): readonly Series[] {
    return this.#series;
  }

  /** The series that may list closed connections, in their order. A detector looks for one for each registry that grows. */
  get lists(): readonly Series[] {
    return this.#lists;
  }

  get postGcHeaps(): readonly PostGcHeap[] {
    return this.#postGcHeaps;
  }

  get coarse(): readonly CoarsePoint[] {
    return this.#coarse;
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  /** Time of the first sample, or of the first one after a gap. */
  get startedMs(): number {
    return this.#startedMs;
  }

  /** RSS is compared from here on: a snapshot in the process leaves it 35 to 45 MB larger (measured). */
  get rebasedMs(): number {
    return this.#rebasedMs;
  }

  get last(): Sample | null {
    return this.#last;
  }

  /** Adds a sample in scaled time. Returns true when it completed a row, so that an evaluation makes sense. */
  append(sample: Sample): boolean {
    if (!Number.isFinite(sample.atMs)) return false;
    const last = this.#last;
    if (last === null || isRestart(last, sample)) this.#restart(sample.atMs);
    else if (sample.atMs - last.atMs > this.#gapMs() || sample.marks.includes('clock-jump'))
      this.#clearCounts(sample.atMs);
    const row = rowOf(sample);
    this.#addConnections(row.responsive, Math.max(0, sample.atMs - (last?.atMs ?? sample.atMs)));
    this.#last = sample;
    this.#nowMs = sample.atMs;
    if (sample.marks.includes('snapshot')) {
      this.#rebasedMs = sample.atMs;
      this.#pausedUntilMs = sample.atMs + MINUTE_MS;
    }
    this.#postGcHeaps = withPostGcHeap(this.#postGcHeaps, sample, row, {
      connectionMs: this.#connectionMs,
      meanResponsive: this.#meanResponsive,
    });
    this.#maxLoopP99Ms = Math.max(zeroIfMissing(this.#maxLoopP99Ms), zeroIfMissing(row.loopP99Ms));
    return this.#completeRow(sample, row);
  }

  #completeRow(sample: Sample, row: FixedRow): boolean {
    const rowNumber = Math.floor(sample.atMs / ROW_MS);
    if (rowNumber <= this.#rowNumber) return false;
    this.#rowNumber = rowNumber;
    const fixed = {
      ...row,
      loopP99Ms: sample.loop === null ? row.loopP99Ms : this.#maxLoopP99Ms,
      // A snapshot stops the event loop, so pongs arrive late for a while.
      unresponsive: sample.atMs < this.#pausedUntilMs ? Number.NaN : row.unresponsive,
    };
    this.#maxLoopP99Ms = Number.NaN;
    const columns = Object.keys(fixed) as Column[];
    // V8 stores the numbers of this array without objects; it does not do so for those of `Object.values`.
    const values: number[] = [];
    for (const value of Object.values(fixed)) values.push(value);
    let position = 0;
    visitSeries(sample, (type, reading, value, event) => {
      columns.push(this.#seriesAt(position, type, reading, event).column);
      values.push(validCount(value));
      position += 1;
    });
    this.#window.append(sample.atMs, columns, values);
    this.#postGcHeaps = withSurvivors(this.#postGcHeaps, sample.atMs, row);
    this.#coarse = withCoarsePoint(this.#coarse, sample.atMs, row);
    this.#appendLongTerm(sample.atMs, columns, values);
    return true;
  }

  #appendLongTerm(atMs: number, columns: readonly Column[], values: readonly number[]): void {
    const rowNumber = Math.floor(atMs / LONG_TERM_ROW_MS);
    if (rowNumber === Math.floor((this.#longTerm?.nowMs ?? Number.NEGATIVE_INFINITY) / LONG_TERM_ROW_MS))
      return;
    this.#longTermWindow.append(atMs, columns, values);
    this.#longTerm = {
      window: this.#longTermWindow,
      nowMs: atMs,
      startedMs: this.#startedMs,
      coarse: this.#coarse,
    };
  }

  #seriesAt(
    position: number,
    type: SeriesType,
    { name, source }: Pick<Series, 'name' | 'source'>,
    event: string | null,
  ): Series {
    const last = this.#visited[position];
    if (last !== undefined && last.name === name && last.type === type && last.event === event) return last;
    const column = seriesColumn(type, name, event);
    const series = this.#seriesByColumn.get(column) ?? this.#addSeries({ column, type, name, event, source });
    if (position < MAX_COLUMNS) this.#visited[position] = series;
    return series;
  }

  #addSeries(series: Series): Series {
    if (this.#series.length >= MAX_COLUMNS) return series;
    this.#seriesByColumn.set(series.column, series);
    this.#series.push(series);
    if (LIST_TYPES.has(series.type)) this.#lists.push(series);
    return series;
  }

  #addConnections(responsive: number, durationMs: number): void {
    this.#connectionMs += zeroIfMissing(responsive) * durationMs;
    const weight = 1 - Math.exp(-durationMs / MEAN_CONNECTIONS_MS);
    const mean = Number.isNaN(this.#meanResponsive) ? responsive : this.#meanResponsive;
    this.#meanResponsive = Number.isNaN(responsive) ? mean : mean + weight * (responsive - mean);
  }

  #restart(atMs: number): void {
    this.#clearCounts(atMs);
    this.#postGcHeaps = [];
    this.#coarse = [];
    this.#rebasedMs = atMs;
  }

  #clearCounts(atMs: number): void {
    this.#window.clear();
    this.#longTermWindow.clear();
    this.#longTerm = null;
    this.#seriesByColumn.clear();
    this.#series.length = 0;
    this.#lists.length = 0;
    this.#visited.length = 0;
    this.#startedMs = atMs;
    this.#rowNumber = Number.NEGATIVE_INFINITY;
  }

  #gapMs(): number {
    return Math.max(MIN_GAP_MS, MIN_GAP_ROWS * this.#window.meanSpacingMs());
  }
}

const isRestart = (last: Sample, next: Sample): boolean =>
  next.atMs < last.atMs || next.uptimeMs < last.uptimeMs - MINUTE_MS;

function withCoarsePoint(
  points: readonly CoarsePoint[],
  atMs: number,
  row: FixedRow,
): readonly CoarsePoint[] {
  const last = points.at(-1);
  if (last !== undefined && atMs - last.atMs < COARSE_MS) return points;
  const point: CoarsePoint = {
    atMs,
    responsive: row.responsive,
    openedTotal: row.openedTotal,
    closedTotal: row.closedTotal,
    usedBytes: Number.isNaN(row.containerUsedBytes) ? row.rssBytes : row.containerUsedBytes,
  };
  return [...points, point].slice(-MAX_COARSE_POINTS);
}
