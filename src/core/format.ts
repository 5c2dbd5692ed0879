/** The one formatter of sizes, counts, durations and shares for messages, reports and commands. Pure. */
import type { SourceLocation, TimeToLimit } from '../types/index.ts';

const SIZES = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

export function formatBytes(bytes: number): string {
  let value = Math.abs(bytes);
  let unit = 0;
  while (value >= 1024 && unit < SIZES.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : 1;
  return `${bytes < 0 ? '-' : ''}${value.toFixed(digits)} ${SIZES[unit]}`;
}

/** 2,410; up to two decimals where the number is small. */
export function formatCount(value: number): string {
  const text = Number.isInteger(value)
    ? String(value)
    : String(Number(value.toFixed(Math.abs(value) < 100 ? 2 : 0)));
  if (Math.abs(value) < 999.5) return text;
  return withSeparators(text);
}

/** `toLocaleString` and a regular expression took a good part of the time of an evaluation of 200 series. */
function withSeparators(integer: string): string {
  const firstDigit = integer.startsWith('-') ? 1 : 0;
  let end = integer.length;
  let text = '';
  for (; end - firstDigit > 3; end -= 3) text = `,${integer.slice(end - 3, end)}${text}`;
  return integer.slice(0, end) + text;
}

/** `rose 4.6 MiB`, `fell 16.0 KiB`, `did not change`. */
export function formatChange(bytes: number): string {
  if (Math.round(bytes) === 0) return 'did not change';
  return `${bytes < 0 ? 'fell' : 'rose'} ${formatBytes(Math.abs(bytes))}`;
}

/** `93 %` of a share of 0.93. */
export const formatShare = (share: number): string => `${Math.round(share * 100)} %`;

export function formatDuration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < MINUTE_MS) return `${Math.round(ms / 1000)} s`;
  const minutes = Math.round(ms / MINUTE_MS);
  if (minutes < 120) return `${minutes} min`;
  if (ms < 10 * HOUR_MS) {
    const rest = minutes % 60;
    return `${Math.floor(minutes / 60)} h${rest === 0 ? '' : ` ${rest} min`}`;
  }
  return ms < 2 * DAY_MS ? `${Math.round(ms / HOUR_MS)} h` : `${Math.round(ms / DAY_MS)} days`;
}

/** `in about 42 min (30 to 65)`: the range in the unit of the first number; no range when both ends round to one number. */
export function formatTimeToLimit({ ms, lowMs, highMs }: TimeToLimit): string {
  if (ms <= 0) return 'now';
  const [unitMs, unit] = unitFor(ms);
  const inUnit = (value: number): string => formatCount(round(value / unitMs));
  const text = `in about ${inUnit(ms)} ${unit}`;
  if (highMs === null) return `${text} (at least ${inUnit(lowMs)})`;
  return inUnit(lowMs) === inUnit(highMs) ? text : `${text} (${inUnit(lowMs)} to ${inUnit(highMs)})`;
}

/** The value at which the time to the limit ends. The process dies a little above 85 % of the heap capacity. */
export const formatLimit = (limit: TimeToLimit['limit']): string =>
  limit === 'heap' ? '85 % of the heap capacity' : 'the container limit';

const round = (value: number): number => (value < 10 ? Math.round(value * 10) / 10 : Math.round(value));

function unitFor(ms: number): [number, string] {
  if (ms < 90_000) return [1000, 's'];
  if (ms < 2 * HOUR_MS) return [MINUTE_MS, 'min'];
  return ms < 2 * DAY_MS ? [HOUR_MS, 'h'] : [DAY_MS, 'days'];
}

/** Decimals of entries are of use only where the number is small: 1.03 entries per connection, but 236 entries. */
const MIN_WHOLE = 10;

/** A value of an evidence row, by its unit (UCUM, or the noun that is counted). */
export function formatValue(value: number, unit: string): string {
  if (unit === 'By') return formatBytes(value);
  if (unit === 'By/h') return `${formatBytes(value)}/h`;
  if (unit === 'ms') return formatDuration(value);
  if (unit === 's') return formatDuration(value * 1000);
  if (unit === '1') return formatCount(value);
  const text = formatCount(Math.abs(value) < MIN_WHOLE ? value : Math.round(value));
  return `${text} ${text === '1' ? singular(unit) : unit}`.trimEnd();
}

/** `entry` for `entries`, `child process` for `child processes`, `census` for `censuses`, `major GC` for `major GCs`. */
const singular = (noun: string): string =>
  /(?:ss|x|ch|sh|census)es$/.test(noun) ? noun.slice(0, -2) : noun.replace(/ies$/, 'y').replace(/s$/, '');

/** `bundle.min.js:1:48211`: the column only where it is given, since the line alone says nothing there. */
export const formatSpot = ({ file, line, column }: SourceLocation): string =>
  `${file}:${line}${column === undefined ? '' : `:${column}`}`;

/** `presence/sessions.js:5`, `websocket/lib/WebSocketServer.js:239`: enough to find the file, short enough for a title. */
export function formatShortSpot({ file, ...position }: SourceLocation): string {
  const [, inPackage] = /.*[\\/]node_modules[\\/](.+)$/.exec(file) ?? [];
  const short = inPackage ?? file.split(/[\\/]/).slice(-2).join('/').replace(/^\//, '');
  return formatSpot({ ...position, file: short });
}
