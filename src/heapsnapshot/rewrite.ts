/**
 * Copies a snapshot and masks strings on the way: strings come last in the file, so one pass knows what each is used
 * for. Everything before them goes through as it stands.
 */

import { decodeString } from './json.ts';
import { maskInto } from './mask.ts';
import type { SnapshotHeader } from './meta.ts';
import type { NumberSection, SnapshotSink } from './sink.ts';
import { Tokenizer } from './tokenizer.ts';
import { Uses } from './uses.ts';
import type { UseRules } from './uses.ts';

export interface RewriteRules extends UseRules {
  /** What stands for a string that is a name: the text itself, another one, or null to mask it whole. */
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

export class Rewriter implements SnapshotSink {
  readonly counts: RewriteCounts = { strings: 0, masked: 0, bytes: 0 };
  private readonly tokenizer = new Tokenizer(this);
  private readonly rules: RewriteRules;
  private readonly emit: (bytes: Uint8Array) => void;
  private uses: Uses | null = null;
  private chunk: Uint8Array = new Uint8Array(0);
  /** Offset in the file of the chunk, and of the first string; -1 until it is known. */
  private chunkAt = 0;
  private stringsAt = -1;
  private output = new Uint8Array(OUTPUT_BYTES);
  private filled = 0;

  /** `emit` gets bytes of its own, in the order of the file. */
  constructor(rules: RewriteRules, emit: (bytes: Uint8Array) => void) {
    this.rules = rules;
    this.emit = emit;
  }

  write(chunk: Uint8Array): void {
    this.chunk = chunk;
    const wasBefore = this.stringsAt < 0;
    this.tokenizer.write(chunk);
    if (wasBefore && this.stringsAt < 0) this.pass(chunk);
    this.chunkAt += chunk.length;
  }

  end(): void {
    this.tokenizer.end();
    this.put(FOOT);
    this.flush();
  }

  header(header: SnapshotHeader): void {
    this.uses = new Uses(header, this.rules);
  }

  section(name: string, offset: number): void {
    if (name !== 'strings') return;
    this.uses?.settle();
    this.stringsAt = offset;
    // The bracket was read in this chunk: a key is only taken whole.
    this.pass(this.chunk.subarray(0, offset - this.chunkAt));
  }

  numbers(section: NumberSection, values: Float64Array, count: number): void {
    this.uses?.numbers(section, values, count);
  }

  string(index: number, data: Uint8Array, start: number, end: number): void {
    const use = this.uses?.of(index) ?? 0;
    this.room(end - start + 4);
    if (index > 0) this.put(SEPARATOR);
    this.output[this.filled++] = QUOTE;
    this.counts.strings += 1;
    if (end > start) this.value(data, { start, end }, use);
    this.room(1);
    this.output[this.filled++] = QUOTE;
  }

  private value(data: Uint8Array, { start, end }: { start: number; end: number }, use: number): void {
    if (use !== 0) {
      const text = decodeString(data, start, end);
      const name = this.rules.name(text, use);
      if (name === text) {
        this.put(data.subarray(start, end));
        return;
      }
      this.counts.masked += 1;
      if (name !== null) {
        this.put(encoder.encode(JSON.stringify(name).slice(1, -1)));
        return;
      }
    } else this.counts.masked += 1;
    this.room(end - start);
    this.filled = maskInto(data, start, end, { output: this.output, at: this.filled });
  }

  private pass(bytes: Uint8Array): void {
    this.flush();
    if (bytes.length === 0) return;
    this.counts.bytes += bytes.length;
    // Not slice(): of a Buffer that is a view, and the reader uses its buffers again.
    this.emit(new Uint8Array(bytes));
  }

  private put(bytes: Uint8Array): void {
    this.room(bytes.length);
    this.output.set(bytes, this.filled);
    this.filled += bytes.length;
  }

  private room(bytes: number): void {
    if (this.filled + bytes <= this.output.length) return;
    this.flush();
    if (bytes > this.output.length) this.output = new Uint8Array(bytes);
  }

  private flush(): void {
    if (this.filled === 0) return;
    this.counts.bytes += this.filled;
    this.emit(this.output.slice(0, this.filled));
    this.filled = 0;
  }
}
