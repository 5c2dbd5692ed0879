/** A line chart as inline SVG: up to three lines over time, with zero at the bottom. */
import { formatBytes, formatCount } from '../../core/format.ts';
import { markup } from './markup.ts';
import type { Markup } from './markup.ts';

export interface Line {
  readonly name: string;
  readonly tone: 'one' | 'two' | 'three';
  /** `null` where the value is unknown: the line has a gap there. */
  readonly values: readonly (number | null)[];
}
export interface Chart {
  readonly title: string;
  readonly unit: 'bytes' | 'count';
  readonly wallMs: readonly number[];
  readonly lines: readonly Line[];
}

const WIDTH = 480;
const HEIGHT = 220;
const LEFT = 58;
const RIGHT = 10;
const TOP = 8;
const BOTTOM = 24;
const TICKS = 4;
const TIMES = 4;

/** Null when no chart could be drawn. */
export function chartSection(title: string, charts: readonly (Markup | null)[]): Markup | null {
  const drawn = charts.filter((chart) => chart !== null);
  return drawn.length === 0 ? null : markup`<h2>${title}</h2><div class="charts">${drawn}</div>`;
}

/** Null with fewer than two points, or when no line has a value. */
export function drawChart(chart: Chart): Markup | null {
  const { wallMs, lines, unit } = chart;
  const shown = lines.filter(({ values }) => values.some((value) => value !== null));
  if (wallMs.length < 2 || shown.length === 0) return null;
  const first = wallMs[0]!;
  const spanMs = Math.max(1, wallMs.at(-1)! - first);
  const step = niceStep(Math.max(1, ...shown.flatMap(({ values }) => values.map((v) => v ?? 0))), unit);
  const top = step * TICKS;
  const x = (ms: number): number => LEFT + ((ms - first) / spanMs) * (WIDTH - LEFT - RIGHT);
  const y = (value: number): number => HEIGHT - BOTTOM - (value / top) * (HEIGHT - TOP - BOTTOM);
  const label = (value: number): string => (unit === 'bytes' ? formatBytes(value) : formatCount(value));
  const ticks = Array.from({ length: TICKS + 1 }, (_, index) => index * step);
  const times = Array.from({ length: TIMES }, (_, index) => first + (spanMs * index) / (TIMES - 1));
  return markup`<figure class="card">
    <figcaption>${chart.title}</figcaption>
    <div>${shown.map(({ name, tone }) => markup`<span class="key"><i class="${tone}"></i>${name}</span>`)}</div>
    <svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${describe(chart.title, shown, label)}">
      ${ticks.map(
        (value) =>
          markup`<line class="axis" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(value)}" y2="${y(value)}" /><text
              x="${LEFT - 6}"
              y="${y(value) + 4}"
              text-anchor="end"
              >${label(value)}</text
            >`,
      )}
      ${times.map(
        (ms, index) =>
          markup`<text x="${x(ms)}" y="${HEIGHT - 6}" text-anchor="${anchor(index)}">${timeOf(ms, spanMs)}</text>`,
      )}
      ${shown.map(
        ({ tone, values }) =>
          markup`<path class="${tone}" d="${linePath(values, (index) => x(wallMs[index]!), y)}" />`,
      )}
    </svg>
  </figure>`;
}

const anchor = (index: number): string => (index === 0 ? 'start' : index === TIMES - 1 ? 'end' : 'middle');

function describe(title: string, lines: readonly Line[], label: (value: number) => string): string {
  const ends = lines.map(({ name, values }) => {
    const numbers = values.filter((value) => value !== null);
    return `${name} from ${label(numbers[0]!)} to ${label(numbers.at(-1)!)}`;
  });
  return `${title}: ${ends.join(', ')}`;
}

function linePath(
  values: readonly (number | null)[],
  x: (index: number) => number,
  y: (value: number) => number,
): string {
  let isPenDown = false;
  const moves: string[] = [];
  values.forEach((value, index) => {
    if (value !== null) moves.push(`${isPenDown ? 'L' : 'M'}${x(index).toFixed(1)} ${y(value).toFixed(1)}`);
    isPenDown = value !== null;
  });
  return moves.join('');
}

/** A tick distance of 1, 2, 2.5 or 5 times a power of ten, in the unit of the tick labels. */
function niceStep(largest: number, unit: Chart['unit']): number {
  const raw = (largest * 1.02) / TICKS;
  const base = unit === 'bytes' ? 1024 ** Math.floor(Math.log(Math.max(1, raw * 2)) / Math.log(1024)) : 1;
  const power = 10 ** Math.floor(Math.log10(raw / base));
  const step = [1, 2, 2.5, 5, 10].find((factor) => factor * power * base >= raw) ?? 10;
  return unit === 'count' ? Math.max(1, Math.ceil(step * power)) : step * power * base;
}

const DAY_MS = 86_400_000;

function timeOf(ms: number, spanMs: number): string {
  const iso = new Date(ms).toISOString();
  if (spanMs > 2 * DAY_MS) return iso.slice(5, 10);
  return spanMs < 10 * 60_000 ? iso.slice(11, 19) : iso.slice(11, 16);
}
