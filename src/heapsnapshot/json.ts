/** Finds the ends of JSON strings and objects in bytes, without decoding them. */

const QUOTE = 34;
const BACKSLASH = 92;
const BRACE_OPEN = 123;
const BRACE_CLOSE = 125;

/** Index of the closing quote; -1 when it is not before `end`. */
export function endOfString(data: Uint8Array, from: number, end: number): number {
  let at = from;
  while (at < end) {
    const byte = data[at]!;
    if (byte === QUOTE) return at;
    at += byte === BACKSLASH ? 2 : 1;
  }
  return -1;
}

/** Index after the object that begins at `from`; -1 when it does not end before `end`. */
export function endOfObject(data: Uint8Array, from: number, end: number): number {
  let depth = 0;
  for (let at = from; at < end; at += 1) {
    const byte = data[at];
    if (byte === QUOTE) {
      at = endOfString(data, at + 1, end);
      if (at < 0) return -1;
    } else if (byte === BRACE_OPEN) depth += 1;
    else if (byte === BRACE_CLOSE) {
      depth -= 1;
      if (depth <= 0) return at + 1;
    }
  }
  return -1;
}

const decoder = new TextDecoder();

/**
 * The text between the quotes of a JSON string. V8 writes characters beyond ASCII as `\u0041`, and never cuts a string
 * inside an escape.
 */
export function decodeString(data: Uint8Array, start: number, end: number): string {
  const raw = decoder.decode(data.subarray(start, end));
  if (!raw.includes('\\')) return raw;
  try {
    return JSON.parse(`"${raw}"`) as string;
  } catch {
    return raw;
  }
}
