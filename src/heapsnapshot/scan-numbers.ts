/** Decodes the numbers of the sections of a heap snapshot; the hot loop of the tokenizer. */
import { SnapshotError } from './snapshot-error.ts';

/** A position in the buffer of the tokenizer. `data[end]` is a zero byte, so that loops need no check of the end. */
export interface Cursor {
  at: number;
  end: number;
  /** Offset in the file of `data[0]`. */
  base: number;
  /** True after the closing bracket of the section. */
  closed: boolean;
  /** Number of values at the start of the batch: the beginning of a row whose rest is in the next chunk. */
  filled: number;
}

const ZERO = 48;
const COMMA = 44;
const MINUS = 45;
const CLOSE = 93;
const NEWLINE = 10;
/** Nine digits fit into an int32. Longer numbers, such as the size of a 5 GB ArrayBuffer, are decoded more slowly. */
const MAX_INT32_DIGITS = 9;
const MAX_DIGITS = 16;

function isBlank(byte: number): boolean {
  return byte === 32 || byte === NEWLINE || byte === 13 || byte === 9;
}

/**
 * Decodes numbers of a section into `out` until it contains `cap` of them. Stops before a number that may continue in the
 * next chunk. One monomorphic loop decodes all sections: a switch for each number takes three times as long.
 */
export function scanNumbers(data: Uint8Array, cursor: Cursor, out: Float64Array, cap: number): void {
  let at = cursor.at;
  let count = cursor.filled;
  while (count < cap) {
    const start = at;
    let value = 0;
    let digit = data[at]! - ZERO;
    while (digit >= 0 && digit <= 9) {
      value = (Math.imul(value, 10) + digit) | 0;
      digit = data[++at]! - ZERO;
    }
    const digits = at - start;
    if (digits === 0 || digits > MAX_INT32_DIGITS) {
      if (digits === 0 && isBlank(data[at]!)) {
        at = skipBlanks(data, at);
        continue;
      }
      if (digits === 0) at = endOfNegative(data, start);
      if (at >= cursor.end && at - start <= MAX_DIGITS) return stopAt(cursor, start, count);
      value = decodeLong(data, start, at, cursor);
      digit = data[at]! - ZERO;
    }
    // Node 20 and 22 write a newline before the comma of each row. Node 24 and 26 do not; `]` follows the last digit.
    if (digit !== COMMA - ZERO) {
      at = skipBlanks(data, at);
      if (at >= cursor.end) return stopAt(cursor, start, count);
      if (data[at] === CLOSE) {
        out[count++] = value;
        cursor.closed = true;
        return stopAt(cursor, at + 1, count);
      }
      if (data[at] !== COMMA) throw syntaxError(data, at, cursor);
    }
    at += 1;
    out[count++] = value;
  }
  stopAt(cursor, at, count);
}

function stopAt(cursor: Cursor, at: number, filled: number): void {
  cursor.at = at;
  cursor.filled = filled;
}

/** Node 24 and 26 write the index of an element from 2^31 as an int32: `a[4e9]` becomes -294967296. */
function endOfNegative(data: Uint8Array, start: number): number {
  if (data[start] !== MINUS) return start;
  let at = start + 1;
  while (data[at]! >= ZERO && data[at]! <= ZERO + 9) at += 1;
  return at;
}

export function skipBlanks(data: Uint8Array, from: number): number {
  let at = from;
  while (isBlank(data[at]!)) at += 1;
  return at;
}

export function syntaxError(data: Uint8Array, at: number, cursor: Cursor): SnapshotError {
  const byte = (data[at] ?? 0).toString(16).padStart(2, '0');
  return new SnapshotError('WSGUARD_SNAPSHOT_SYNTAX', `byte 0x${byte} at offset ${cursor.base + at}`);
}

function decodeLong(data: Uint8Array, start: number, end: number, cursor: Cursor): number {
  const first = data[start] === MINUS ? start + 1 : start;
  if (first === end || end - first > MAX_DIGITS) throw syntaxError(data, start, cursor);
  let value = 0;
  for (let at = first; at < end; at += 1) value = value * 10 + (data[at]! - ZERO);
  return first === start ? value : 2 ** 32 - value;
}
