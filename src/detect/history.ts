/** `History`: the samples that the detectors look at, in scaled time. Only `append` changes it; the samples give the time. */

import type { Sample } from '../types/index.ts';
import { withPostGcHeap, withSurvivors, type PostGcHeap } from './post-gc-heaps.ts';
import {
  rowOf,
  seriesColumn,
  validCount,
  visitSeries,
  zeroIfMissing,
  type Column,
  type Series,
  type SeriesColumn,
} from './sample-row.ts';
import { Window } from './window.ts';

export const MINUTE_MS = 60_000;
export const HOUR_MS = 60 * MINUTE_MS;
/** One row per half minute at most: more samples add cost and no information. */
const ROW_MS = 30_000;
/** An hour of rows: the longest window of a detector that reads rows. */
const ROWS = 128;
/** Memory bound: 240 columns of 128 numbers are 240 KiB. */
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

export class History {
  readonly #window = new Window(ROWS, MAX_COLUMNS);
  readonly #series = new Map<SeriesColumn, Series>();
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

  get window(): Pick<Window, 'rows' | 'times' | 'column' | 'latest' | 'rowAt' | 'meanSpacingMs'> {
    return this.#window;
  }

  get series(): Iterable<Series> {
    return this.#series.values();
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
    this.#addConnections(
      row.get('responsive') ?? Number.NaN,
      Math.max(0, sample.atMs - (last?.atMs ?? sample.atMs)),
    );
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
    this.#maxLoopP99Ms = Math.max(zeroIfMissing(this.#maxLoopP99Ms), zeroIfMissing(row.get('loopP99Ms')));
    return this.#completeRow(sample, row);
  }

  #completeRow(sample: Sample, row: Map<Column, number>): boolean {
    const rowNumber = Math.floor(sample.atMs / ROW_MS);
    if (rowNumber <= this.#rowNumber) return false;
    this.#rowNumber = rowNumber;
    if (sample.loop !== null) row.set('loopP99Ms', this.#maxLoopP99Ms);
    this.#maxLoopP99Ms = Number.NaN;
    // A snapshot stops the event loop, so pongs arrive late for a while.
    if (sample.atMs < this.#pausedUntilMs) row.delete('unresponsive');
    visitSeries(sample, (type, { name, source }, value, event) => {
      const column = seriesColumn(type, name, event);
      row.set(column, validCount(value));
      if (!this.#series.has(column) && this.#series.size < MAX_COLUMNS)
        this.#series.set(column, { column, type, name, event, source });
    });
    this.#window.append(sample.atMs, row);
    this.#postGcHeaps = withSurvivors(this.#postGcHeaps, sample.atMs, row);
    this.#coarse = withCoarsePoint(this.#coarse, sample.atMs, row);
    return true;
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
    this.#series.clear();
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
  row: ReadonlyMap<Column, number>,
): readonly CoarsePoint[] {
  const last = points.at(-1);
  if (last !== undefined && atMs - last.atMs < COARSE_MS) return points;
  const point: CoarsePoint = {
    atMs,
    responsive: row.get('responsive') ?? Number.NaN,
    openedTotal: row.get('openedTotal') ?? Number.NaN,
    closedTotal: row.get('closedTotal') ?? Number.NaN,
    usedBytes: usedBytesOf(row),
  };
  return [...points, point].slice(-MAX_COARSE_POINTS);
}

function usedBytesOf(row: ReadonlyMap<Column, number>): number {
  const used = row.get('containerUsedBytes') ?? Number.NaN;
  return Number.isNaN(used) ? (row.get('rssBytes') ?? Number.NaN) : used;
}
