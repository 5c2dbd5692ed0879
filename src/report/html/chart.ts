/** A line chart as inline SVG: few lines, time from left to right, zero at the bottom. */

import { formatBytes, formatCount } from '../../core/format.ts';
import { markup } from './markup.ts';
import type { Markup } from './markup.ts';

export interface Line {
  readonly name: string;
  readonly tone: 'one' | 'two' | 'three';
  /** `null`: not known then; the line has a hole. */
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
  const ticks = Array.from({ length: TICKS + 1 }, (_, at) => at * step);
  const times = Array.from({ length: TIMES }, (_, at) => first + (spanMs * at) / (TIMES - 1));
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
        (ms, at) =>
          markup`<text x="${x(ms)}" y="${HEIGHT - 6}" text-anchor="${anchor(at)}">${timeOf(ms, spanMs)}</text>`,
      )}
      ${shown.map(
        ({ tone, values }) =>
          markup`<path class="${tone}" d="${pathOf(values, (at) => x(wallMs[at]!), y)}" />`,
      )}
    </svg>
  </figure>`;
}

const anchor = (at: number): string => (at === 0 ? 'start' : at === TIMES - 1 ? 'end' : 'middle');

function describe(title: string, lines: readonly Line[], label: (value: number) => string): string {
  const ends = lines.map(({ name, values }) => {
    const known = values.filter((value) => value !== null);
    return `${name} from ${label(known[0]!)} to ${label(known.at(-1)!)}`;
  });
  return `${title}: ${ends.join(', ')}`;
}

function pathOf(
  values: readonly (number | null)[],
  x: (at: number) => number,
  y: (value: number) => number,
): string {
  let isDown = false;
  const moves: string[] = [];
  values.forEach((value, at) => {
    if (value !== null) moves.push(`${isDown ? 'L' : 'M'}${x(at).toFixed(1)} ${y(value).toFixed(1)}`);
    isDown = value !== null;
  });
  return moves.join('');
}

/** 1, 2, 2.5 or 5 times a power of ten of the unit that the label will have. */
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
