/**
 * `Rewriter`: copies a heap snapshot and masks its strings. The strings are the last section of the file, so the uses of
 * each string are known when it is reached. All other sections are copied unchanged.
 */
import { decodeString } from './json.ts';
import type { SnapshotHeader } from './header.ts';
import { Tokenizer } from './tokenizer.ts';
import type { NumberSection, SnapshotSink } from './tokenizer.ts';
import { StringUses } from './string-uses.ts';
import type { UseRules } from './string-uses.ts';

export interface RewriteRules extends UseRules {
  /** The replacement of a string that is a name: the same text, another text, or null to mask all of it. */
  name(text: string, use: number): string | null;
}

export interface RewriteCounts {
  strings: number;
  masked: number;
  bytes: number;
}

const OUTPUT_BYTES = 1 << 18;
const encoder = new TextEncoder();
const SEPARATOR = encoder.encode(',\n');
const FOOT = encoder.encode(']}\n');
const QUOTE = 34;
const BACKSLASH = 92;
const LOWER_U = 117;
const ZERO = 48;
const NINE = 57;
/** The letter x. */
const MASK = 120;
/** Digits after `\u`. */
const UNICODE_DIGITS = 4;
/** `\u0078` is the mask for a character beyond ASCII, so that the output has as many bytes as the input. */
const ESCAPED_MASK = [48, 48, 55, 56] as const;

export class Rewriter implements SnapshotSink {
  readonly counts: RewriteCounts = { strings: 0, masked: 0, bytes: 0 };
  readonly #tokenizer = new Tokenizer(this);
  readonly #rules: RewriteRules;
  readonly #emit: (bytes: Uint8Array) => void;
  #uses: StringUses | null = null;
  #chunk: Uint8Array = new Uint8Array(0);
  /** Offsets in the file: of the chunk, and of the first string (-1 before it is reached). */
  #chunkOffset = 0;
  #stringsOffset = -1;
  #output = new Uint8Array(OUTPUT_BYTES);
  #filled = 0;

  /** `emit` receives bytes in the order of the file. They are valid only during the call, because all buffers are used again. */
  constructor(rules: RewriteRules, emit: (bytes: Uint8Array) => void) {
    this.#rules = rules;
    this.#emit = emit;
  }

  write(chunk: Uint8Array): void {
    this.#chunk = chunk;
    const isBeforeStrings = this.#stringsOffset < 0;
    this.#tokenizer.write(chunk);
    if (isBeforeStrings && this.#stringsOffset < 0) this.#copy(chunk);
    this.#chunkOffset += chunk.length;
  }

  end(): void {
    this.#tokenizer.end();
    this.#append(FOOT);
    this.#flush();
  }

  header(header: SnapshotHeader): void {
    this.#uses = new StringUses(header, this.#rules);
  }

  section(name: string, offset: number): void {
    if (name !== 'strings') return;
    this.#uses?.settle();
    this.#stringsOffset = offset;
    // The opening bracket is in this chunk, because the tokenizer reads a key and its bracket together.
    this.#copy(this.#chunk.subarray(0, offset - this.#chunkOffset));
  }

  numbers(section: NumberSection, values: Float64Array, count: number): void {
    this.#uses?.numbers(section, values, count);
  }

  string(index: number, data: Uint8Array, start: number, end: number): void {
    const use = this.#uses?.of(index) ?? 0;
    this.#reserve(end - start + 4);
    if (index > 0) this.#append(SEPARATOR);
    this.#output[this.#filled++] = QUOTE;
    this.counts.strings += 1;
    if (end > start) this.#maskString(data, { start, end }, use);
    this.#reserve(1);
    this.#output[this.#filled++] = QUOTE;
  }

  #maskString(data: Uint8Array, { start, end }: { start: number; end: number }, use: number): void {
    if (use !== 0) {
      const text = decodeString(data, start, end);
      const name = this.#rules.name(text, use);
      if (name === text) {
        this.#append(data.subarray(start, end));
        return;
      }
      this.counts.masked += 1;
      if (name !== null) {
        this.#append(encoder.encode(JSON.stringify(name).slice(1, -1)));
        return;
      }
    } else this.counts.masked += 1;
    this.#reserve(end - start);
    this.#filled = maskInto(data, start, end, { output: this.#output, at: this.#filled });
  }

  #copy(bytes: Uint8Array): void {
    this.#flush();
    if (bytes.length === 0) return;
    this.counts.bytes += bytes.length;
    this.#emit(bytes);
  }

  #append(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#output.set(bytes, this.#filled);
    this.#filled += bytes.length;
  }

  #reserve(bytes: number): void {
    if (this.#filled + bytes <= this.#output.length) return;
    this.#flush();
    if (bytes > this.#output.length) this.#output = new Uint8Array(bytes);
  }

  #flush(): void {
    if (this.#filled === 0) return;
    this.counts.bytes += this.#filled;
    this.#emit(this.#output.subarray(0, this.#filled));
    this.#filled = 0;
  }
}

/**
 * Writes the text of a JSON string with `x` for each letter and `0` for each digit. Escapes remain escapes, so the text
 * keeps its length in UTF-16 (each half of a surrogate pair becomes an x). Returns the end of the output.
 */
function maskInto(
  data: Uint8Array,
  start: number,
  end: number,
  to: { readonly output: Uint8Array; readonly at: number },
): number {
  const { output } = to;
  let out = to.at;
  let at = start;
  while (at < end) {
    const byte = data[at]!;
    if (byte >= 0x80) {
      // V8 writes ASCII only. In UTF-8 of other writers the first byte of a character becomes the mask; from 0xf0 on a
      // character has two UTF-16 units.
      if (byte >= 0xc0) output[out++] = MASK;
      if (byte >= 0xf0) output[out++] = MASK;
      at += 1;
    } else if (byte !== BACKSLASH) {
      output[out++] = byte >= ZERO && byte <= NINE ? ZERO : MASK;
      at += 1;
    } else if (data[at + 1] === LOWER_U && at + 2 + UNICODE_DIGITS <= end) {
      output[out++] = BACKSLASH;
      output[out++] = LOWER_U;
      for (const digit of ESCAPED_MASK) output[out++] = digit;
      at += 2 + UNICODE_DIGITS;
    } else {
      // Escapes such as `\n` and `\"` contain no data.
      output[out++] = BACKSLASH;
      output[out++] = data[at + 1]!;
      at += 2;
    }
  }
  return out;
}
