/** Checks the value of one setting, given as text or typed, and describes the values that it accepts. Pure. */
import type { SettingSpec } from './schema.ts';

export type AnySetting = SettingSpec<unknown>;

export type ParsedValue = { readonly ok: true; readonly value: unknown } | { readonly ok: false };

const TRUE_WORDS = new Set(['true', '1', 'yes', 'on']);
const FALSE_WORDS = new Set(['false', '0', 'no', 'off']);
const INVALID: ParsedValue = { ok: false };
const valid = (value: unknown): ParsedValue => ({ ok: true, value });

/** Parses the text of an environment variable. */
export function parseText(setting: AnySetting, text: string): ParsedValue {
  const trimmed = text.trim();
  switch (setting.type) {
    case 'boolean': {
      const word = trimmed.toLowerCase();
      if (TRUE_WORDS.has(word)) return valid(true);
      return FALSE_WORDS.has(word) ? valid(false) : INVALID;
    }
    case 'integer':
      return /^[+-]?\d+$/.test(trimmed) ? checkValue(setting, Number(trimmed)) : INVALID;
    case 'number':
      return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(trimmed)
        ? checkValue(setting, Number(trimmed))
        : INVALID;
    case 'choice':
      return checkValue(setting, trimmed.toLowerCase());
    case 'list':
      return checkValue(setting, splitList(trimmed));
    default:
      return checkValue(setting, trimmed);
  }
}

const splitList = (text: string): string[] =>
  text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');

/** Checks a typed value, which comes from the settings file or from code. */
export function checkValue(setting: AnySetting, value: unknown): ParsedValue {
  switch (setting.type) {
    case 'boolean':
      return typeof value === 'boolean' ? valid(value) : INVALID;
    case 'integer':
    case 'number':
      return isInRange(setting, value) ? valid(value) : INVALID;
    case 'choice':
      return checkChoice(setting, value);
    case 'list':
      return Array.isArray(value) && value.every(isMuteEntry) ? valid(Object.freeze([...value])) : INVALID;
    case 'url':
      return typeof value === 'string' && isHttpUrl(value) ? valid(value) : INVALID;
    case 'string':
      return isText(setting, value) ? valid(value) : INVALID;
  }
}

function checkChoice(setting: AnySetting, value: unknown): ParsedValue {
  const { choices = [], min } = setting;
  const number = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value;
  // A choice with bounds also accepts a number between them.
  if (min !== undefined && isInRange(setting, number)) return valid(number);
  if (typeof value === 'string' && choices.includes(value)) return valid(value);
  // YAML 1.1 turns `on` and `off` into booleans, so a boolean stands for these two choices.
  if (typeof value === 'boolean') return checkChoice(setting, value ? 'on' : 'off');
  if (typeof value === 'string' && (TRUE_WORDS.has(value) || FALSE_WORDS.has(value))) {
    const word = TRUE_WORDS.has(value) ? 'on' : 'off';
    return choices.includes(word) ? valid(word) : INVALID;
  }
  return INVALID;
}

const isText = ({ pattern }: AnySetting, value: unknown): boolean =>
  typeof value === 'string' && (pattern?.test(value) ?? value !== '');

function isInRange(setting: AnySetting, value: unknown): boolean {
  if (typeof value !== 'number' || !Number.isFinite(value)) return false;
  if (setting.type === 'integer' && !Number.isSafeInteger(value)) return false;
  return value >= (setting.min ?? -Infinity) && value <= (setting.max ?? Infinity);
}

/** `fingerprint:until`, where `until` is a date. */
function isMuteEntry(entry: unknown): boolean {
  if (typeof entry !== 'string') return false;
  const colon = entry.indexOf(':');
  return colon > 0 && !Number.isNaN(Date.parse(entry.slice(colon + 1)));
}

function isHttpUrl(text: string): boolean {
  try {
    const { protocol } = new URL(text);
    return protocol === 'http:' || protocol === 'https:';
  } catch {
    return false;
  }
}

/** `a whole number from 250 to 300000`: the values that a setting accepts. */
export function describeExpected(setting: AnySetting): string {
  switch (setting.type) {
    case 'boolean':
      return 'true or false';
    case 'integer':
    case 'number':
      return `${setting.type === 'integer' ? 'a whole number' : 'a number'}${describeRange(setting)}`;
    case 'choice':
      return `one of ${setting.choices?.join(', ')}${setting.min === undefined ? '' : `, or a number of ${setting.unit} from ${setting.min} to ${setting.max}`}`;
    case 'list':
      return 'fingerprint:until, comma separated, until as an ISO date';
    case 'url':
      return 'an http or https URL';
    case 'string':
      return setting.expected ?? 'text that is not empty';
  }
}

function describeRange({ min, max }: AnySetting): string {
  if (min !== undefined && max !== undefined) return ` from ${min} to ${max}`;
  return min === undefined ? '' : ` of at least ${min}`;
}
