/** Text or JSON to the value of one setting, or what was expected instead. Pure. */
import type { Row } from './row.ts';

export type Parsed = { readonly ok: true; readonly value: unknown } | { readonly ok: false };

const TRUE = new Set(['true', '1', 'yes', 'on']);
const FALSE = new Set(['false', '0', 'no', 'off']);
const NO: Parsed = { ok: false };
const yes = (value: unknown): Parsed => ({ ok: true, value });

export type AnyRow = Row<unknown>;

export function parseText(row: AnyRow, text: string): Parsed {
  const trimmed = text.trim();
  switch (row.kind) {
    case 'boolean': {
      const word = trimmed.toLowerCase();
      return TRUE.has(word) ? yes(true) : FALSE.has(word) ? yes(false) : NO;
    }
    case 'integer':
      return /^[+-]?\d+$/.test(trimmed) ? checkValue(row, Number(trimmed)) : NO;
    case 'number':
      return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(trimmed) ? checkValue(row, Number(trimmed)) : NO;
    case 'choice':
      return checkValue(row, trimmed.toLowerCase());
    case 'list':
      return checkValue(
        row,
        trimmed
          .split(',')
          .map((part) => part.trim())
          .filter((part) => part !== ''),
      );
    default:
      return checkValue(row, trimmed);
  }
}

/** For values that come typed, from the file or from code. */
export function checkValue(row: AnyRow, value: unknown): Parsed {
  switch (row.kind) {
    case 'boolean':
      return typeof value === 'boolean' ? yes(value) : NO;
    case 'integer':
    case 'number':
      return isNumberOf(row, value) ? yes(value) : NO;
    case 'choice':
      return checkChoice(row, value);
    case 'list':
      return Array.isArray(value) && value.every(isListEntry) ? yes(Object.freeze([...value])) : NO;
    case 'url':
      return typeof value === 'string' && isHttpUrl(value) ? yes(value) : NO;
    case 'string':
      return typeof value === 'string' && value !== '' ? yes(value) : NO;
  }
}

function checkChoice(row: AnyRow, value: unknown): Parsed {
  if (typeof value === 'string' && row.choices?.includes(value) === true) return yes(value);
  // `on` and `off` are what people mean by true and false, in YAML above all.
  if (typeof value === 'boolean') return checkChoice(row, value ? 'on' : 'off');
  if (typeof value === 'string' && (TRUE.has(value) || FALSE.has(value))) {
    const word = TRUE.has(value) ? 'on' : 'off';
    return word !== value && row.choices?.includes(word) === true ? yes(word) : NO;
  }
  return NO;
}

function isNumberOf(row: AnyRow, value: unknown): boolean {
  if (typeof value !== 'number' || !Number.isFinite(value)) return false;
  if (row.kind === 'integer' && !Number.isSafeInteger(value)) return false;
  return value >= (row.min ?? -Infinity) && value <= (row.max ?? Infinity);
}

const isListEntry = (entry: unknown): boolean => {
  if (typeof entry !== 'string') return false;
  const colon = entry.indexOf(':');
  return colon > 0 && !Number.isNaN(Date.parse(entry.slice(colon + 1)));
};

function isHttpUrl(text: string): boolean {
  try {
    const { protocol } = new URL(text);
    return protocol === 'http:' || protocol === 'https:';
  } catch {
    return false;
  }
}

export function expectedOf(row: AnyRow): string {
  switch (row.kind) {
    case 'boolean':
      return 'true or false';
    case 'integer':
    case 'number':
      return `${row.kind === 'integer' ? 'a whole number' : 'a number'}${rangeOf(row)}`;
    case 'choice':
      return `one of ${row.choices?.join(', ')}`;
    case 'list':
      return 'fingerprint:until, comma separated, until as an ISO date';
    case 'url':
      return 'an http or https URL';
    case 'string':
      return 'a text that is not empty';
  }
}

function rangeOf(row: AnyRow): string {
  if (row.min !== undefined && row.max !== undefined) return ` from ${row.min} to ${row.max}`;
  return row.min === undefined ? '' : ` of at least ${row.min}`;
}

/** The known name that is fewest edits away, when that is near enough to be what was meant. */
export function nearestName(name: string, known: readonly string[]): string | null {
  let best: string | null = null;
  // Half the letters of a short name may not change: `bogus` is no misspelt `log`.
  let bestDistance = Math.min(Math.max(3, Math.ceil(name.length / 3)), Math.floor(name.length / 2)) + 1;
  for (const candidate of known) {
    const distance = editDistance(name, candidate);
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

function editDistance(a: string, b: string): number {
  let above = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i += 1) {
    const line = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const swap = (above[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      line.push(Math.min(swap, (above[j] ?? 0) + 1, (line[j - 1] ?? 0) + 1));
    }
    above = line;
  }
  return above[b.length] ?? 0;
}
