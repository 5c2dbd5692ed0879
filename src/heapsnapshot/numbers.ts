import { SnapshotError } from './errors.ts';

/** Where the tokenizer stands in its buffer. `data[end]` is a zero byte, so that loops need no bound check. */
export interface Cursor {
  at: number;
  end: number;
  /** Absolute offset in the file of `data[0]`. */
  base: number;
  /** The closing bracket of the section was read. */
  closed: boolean;
  /** Values already waiting at the front of the batch: the beginning of a row that a chunk's end cut. */
  filled: number;
}

const ZERO = 48;
const COMMA = 44;
const MINUS = 45;
const CLOSE = 93;
const NEWLINE = 10;
/** int32 holds nine digits; longer numbers (a 5 GB ArrayBuffer's size) take the slow way. */
const FAST_DIGITS = 9;
const MAX_DIGITS = 16;

export function isBlank(byte: number): boolean {
  return byte === 32 || byte === NEWLINE || byte === 13 || byte === 9;
}

/**
 * Decodes numbers of a section into `out` until it holds `cap`. It stops in front of a number whose end lies beyond
 * the buffer. One monomorphic loop for all sections: a switch a number costs three times the time.
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
    if (digits === 0 || digits > FAST_DIGITS) {
      if (digits === 0 && isBlank(data[at]!)) {
        at = skipBlanks(data, at);
        continue;
      }
      if (digits === 0) at = endOfNegative(data, start);
      if (at >= cursor.end && at - start <= MAX_DIGITS) return stop(cursor, start, count);
      value = decodeLong(data, start, at, cursor);
      digit = data[at]! - ZERO;
    }
    // Node 20 and 22 put a newline before each row's comma; 24 and 26 none, and `]` follows the last digit.
    if (digit !== COMMA - ZERO) {
      at = skipBlanks(data, at);
      if (at >= cursor.end) return stop(cursor, start, count);
      if (data[at] === CLOSE) {
        out[count++] = value;
        cursor.closed = true;
        return stop(cursor, at + 1, count);
      }
      if (data[at] !== COMMA) throw syntax(data, at, cursor);
    }
    at += 1;
    out[count++] = value;
  }
  stop(cursor, at, count);
}

function stop(cursor: Cursor, at: number, filled: number): void {
  cursor.at = at;
  cursor.filled = filled;
}

/** Node 24 and 26 write an element's index from 2^31 on as an int32: `a[4e9]` becomes -294967296. */
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

export function syntax(data: Uint8Array, at: number, cursor: Cursor): SnapshotError {
  const byte = (data[at] ?? 0).toString(16).padStart(2, '0');
  return new SnapshotError('WSGUARD_SNAPSHOT_SYNTAX', `byte 0x${byte} at offset ${cursor.base + at}`);
}

function decodeLong(data: Uint8Array, start: number, end: number, cursor: Cursor): number {
  const first = data[start] === MINUS ? start + 1 : start;
  if (first === end || end - first > MAX_DIGITS) throw syntax(data, start, cursor);
  let value = 0;
  for (let at = first; at < end; at += 1) value = value * 10 + (data[at]! - ZERO);
  return first === start ? value : 2 ** 32 - value;
}
