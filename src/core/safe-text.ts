/**
 * Makes text safe to show. Names of events, registries and classes can come from users of the application: they can hold
 * escape sequences for a terminal, and personal data.
 */

/** C0 and C1 control characters except tab and line feed, and characters that hide or reorder text. */
// oxlint-disable-next-line no-control-regex
const UNSAFE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;
const escapeUnit = (unit: string): string => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;

/** For text of several lines. In JSON the escapes mean the same characters. */
export const escapeControls = (text: string): string => text.replace(UNSAFE, escapeUnit);

/** docs/metrics.md promises this bound. */
const MAX_NAME_CHARS = 128;
/** Longer text is cut before it is searched. */
const MAX_SEARCHED_CHARS = 1_000;
/** Most names: short words with separators, without four digits in a row, tokens and addresses. */
const READABLE = /^(?!.*\d{4})(?!.*[\w+~-]{16})(?!.*(?:\d+\.){3}\d)[A-Za-z_$#*][\w$ .,:/#*()+-]{0,99}$/;
const PLACEHOLDER = '*';

/** The parts of a name that look like data, each replaced with `*`. */
const DATA: readonly (readonly [RegExp, string])[] = [
  // A query, or the value of a key.
  [/\?.*$/s, `?${PLACEHOLDER}`],
  [/=[^\s&;,|]+/g, `=${PLACEHOLDER}`],
  // An email address or another name with a host. It begins a word: a search from each letter of a long one takes milliseconds.
  [/(?<![^\s:/|,;<>()"'])[^\s:/|,;<>()"']+(?:@|%40)[^\s:/|,;<>()"'?]+/gi, PLACEHOLDER],
  // UUIDs and hexadecimal ids.
  [/\b[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}\b/gi, PLACEHOLDER],
  [/\b(?=[\da-f]*\d)[\da-f]{12,}\b/gi, PLACEHOLDER],
  // IPv4 addresses.
  [/\b\d{1,3}(?:\.\d{1,3}){3}\b/g, PLACEHOLDER],
  // Ids, telephone and card numbers.
  [/\d{4,}/g, PLACEHOLDER],
];

const LONG_WORD = /[\w+~-]{16,}/g;
/** `connectionsByTenant2` has one change between letters and digits, a token of 16 characters has four on average. */
const MIN_TOKEN_CHANGES = 3;

function isToken(word: string): boolean {
  let changes = 0;
  let wasDigit: boolean | null = null;
  for (const character of word) {
    const isDigit = character >= '0' && character <= '9';
    if (!isDigit && !/[A-Za-z]/.test(character)) continue;
    if (wasDigit !== null && wasDigit !== isDigit) changes += 1;
    wasDigit = isDigit;
  }
  return changes >= MIN_TOKEN_CHANGES;
}

/**
 * A name that may leave the process. `price` and `room:lobby` stay as they are, `user:4711` becomes `user:*`, and
 * `inbox:alice@example.com?token=x` becomes `inbox:*?*`.
 */
export function publicName(name: string): string {
  if (name.length <= MAX_NAME_CHARS && READABLE.test(name)) return name;
  let text = name.slice(0, MAX_SEARCHED_CHARS);
  for (const [pattern, replacement] of DATA) text = text.replace(pattern, replacement);
  text = text.replace(LONG_WORD, (word) => (isToken(word) ? PLACEHOLDER : word));
  text = text.replace(/[\t\n]/g, ' ').replace(UNSAFE, escapeUnit);
  return text.length > MAX_NAME_CHARS ? `${text.slice(0, MAX_NAME_CHARS - 1)}…` : text;
}

/** The first characters, as a text of its own: V8 keeps the complete string in memory behind the result of `slice`. */
export const startOf = (text: string, maxChars: number): string =>
  text.length <= maxChars ? text : text.slice(0, maxChars).split('').join('');
