/** `Tokenizer`: reads a heap snapshot in chunks of any size and passes rows and strings to a `SnapshotSink`. */
import { SnapshotError } from './snapshot-error.ts';
import { endOfObject, endOfString } from './json.ts';
import { readHeader } from './header.ts';
import type { SnapshotHeader } from './header.ts';
import { scanNumbers, skipBlanks, syntaxError } from './scan-numbers.ts';
import type { Cursor } from './scan-numbers.ts';

export type NumberSection = 'nodes' | 'edges' | 'locations';

/**
 * Receives the parts of a snapshot in the order of the file: header, nodes, edges, locations, strings. Arrays and byte views
 * are reused: they are valid only during the call.
 */
export interface SnapshotSink {
  header(header: SnapshotHeader): void;
  /** `offset`: the first byte after the opening bracket, from the start of the unpacked file. */
  section?(name: string, offset: number): void;
  /** Complete rows of a section: `values[0]` to `values[count - 1]`. */
  numbers(section: NumberSection, values: Float64Array, count: number): void;
  /** The bytes between the quotes of one string, with its escapes: `data[start]` to `data[end - 1]`. */
  string(index: number, data: Uint8Array, start: number, end: number): void;
  sectionEnd?(name: string): void;
}

const FILE_START = '{"snapshot":';
const MAX_HEADER_BYTES = 1 << 20;
/** V8 cuts strings at 1,024 characters by default. One character takes up to six bytes. */
const MAX_STRING_BYTES = 16 << 20;
/** Bytes outside of strings that may be kept from one chunk to the next. */
const MAX_CARRIED_BYTES = 1 << 20;
const BATCH_VALUES = 1 << 14;

const QUOTE = 34;
const COMMA = 44;
const OPEN = 91;
const CLOSE = 93;
const BRACE_OPEN = 123;
const BRACE_CLOSE = 125;

type Stage = 'header' | 'between' | 'numbers' | 'skipped' | 'strings' | 'after';

/** Keeps one chunk in memory, and the bytes of the previous one that were incomplete. */
export class Tokenizer {
  readonly #sink: SnapshotSink;
  readonly #batch = new Float64Array(BATCH_VALUES);
  readonly #cursor: Cursor = { at: 0, end: 0, base: 0, closed: false, filled: 0 };
  readonly #seen = new Set<string>();
  #data: Uint8Array = new Uint8Array(1);
  #stage: Stage = 'header';
  #header: SnapshotHeader | null = null;
  #section = '';
  #rowLength = 1;
  #rowsLeft = 0;
  #depth = 0;
  #stringIndex = 0;
  /** True after a comma inside `strings`: a string must follow. */
  #needsString = false;

  constructor(sink: SnapshotSink) {
    this.#sink = sink;
  }

  write(chunk: Uint8Array): void {
    this.#append(chunk);
    while (this.#step());
    const carried = this.#cursor.end - this.#cursor.at;
    const limit = this.#stage === 'strings' ? MAX_STRING_BYTES : MAX_CARRIED_BYTES;
    if (carried <= limit) return;
    throw this.#stage === 'strings'
      ? new SnapshotError(
          'WSGUARD_SNAPSHOT_STRINGS',
          `string ${this.#stringIndex} is longer than ${limit} bytes`,
        )
      : syntaxError(this.#data, this.#cursor.at, this.#cursor);
  }

  /** Call after the last chunk. Throws when the file is incomplete. */
  end(): void {
    if (this.#stage === 'after' && ['nodes', 'edges', 'strings'].every((name) => this.#seen.has(name)))
      return;
    if (this.#stage === 'header' && this.#cursor.base + this.#cursor.end < FILE_START.length)
      throw notASnapshot();
    const where = this.#stage === 'header' ? 'header' : this.#section;
    throw new SnapshotError(
      'WSGUARD_SNAPSHOT_TRUNCATED',
      `the file ends after ${this.#cursor.base + this.#cursor.end} bytes, inside or after "${where}"`,
    );
  }

  /** Joins the kept bytes and the new chunk, and adds a zero byte, so that loops need no check of the end. */
  #append(chunk: Uint8Array): void {
    const cursor = this.#cursor;
    const carried = cursor.end - cursor.at;
    const needed = carried + chunk.length + 1;
    const rest = this.#data.subarray(cursor.at, cursor.end);
    if (this.#data.length < needed) this.#data = new Uint8Array(Math.max(needed, carried * 2));
    this.#data.set(rest);
    this.#data.set(chunk, carried);
    this.#data[needed - 1] = 0;
    cursor.base += cursor.at;
    cursor.at = 0;
    cursor.end = needed - 1;
  }

  /** Reads the next part; false when it needs the next chunk. */
  #step(): boolean {
    switch (this.#stage) {
      case 'header':
        return this.#readHeader();
      case 'between':
        return this.#readKey();
      case 'numbers':
        return this.#readNumbers();
      case 'skipped':
        return this.#readSkipped();
      case 'strings':
        return this.#readStrings();
      case 'after':
        return this.#readAfter();
    }
  }

  #readHeader(): boolean {
    const cursor = this.#cursor;
    const data = this.#data;
    for (let at = 0; at < FILE_START.length && at < cursor.end; at += 1) {
      if (data[at] !== FILE_START.charCodeAt(at)) throw notASnapshot();
    }
    const end = endOfObject(data, FILE_START.length, cursor.end);
    if (end < 0) {
      if (cursor.end > MAX_HEADER_BYTES) throw notASnapshot();
      return false;
    }
    this.#header = readHeader(new TextDecoder().decode(data.subarray(FILE_START.length, end)));
    this.#sink.header(this.#header);
    cursor.at = end;
    this.#stage = 'between';
    return true;
  }

  #readKey(): boolean {
    const cursor = this.#cursor;
    const data = this.#data;
    const start = skipBlanks(data, cursor.at);
    if (start >= cursor.end) return false;
    if (data[start] === BRACE_CLOSE) {
      cursor.at = start + 1;
      this.#stage = 'after';
      return true;
    }
    if (data[start] !== COMMA) throw syntaxError(data, start, cursor);
    const open = data.indexOf(OPEN, start);
    if (open < 0 || open >= cursor.end) return false;
    const key = /^,\s*"(\w{1,40})"\s*:\s*$/.exec(
      new TextDecoder('latin1').decode(data.subarray(start, open)),
    );
    if (key === null) throw syntaxError(data, start, cursor);
    cursor.at = open + 1;
    this.#enterSection(key[1]!);
    return true;
  }

  #enterSection(name: string): void {
    const { layout, nodeCount, edgeCount } = this.#header!;
    const before = { edges: 'nodes', locations: 'nodes', strings: 'edges' }[name];
    if (this.#seen.has(name) || (before !== undefined && !this.#seen.has(before))) {
      throw new SnapshotError(
        'WSGUARD_SNAPSHOT_SYNTAX',
        `section "${name}" is not in the order in which V8 writes it`,
      );
    }
    this.#seen.add(name);
    this.#section = name;
    this.#cursor.closed = false;
    this.#cursor.filled = 0;
    if (name === 'nodes') this.#expectRows(layout.nodeFields, nodeCount);
    else if (name === 'edges') this.#expectRows(layout.edgeFields, edgeCount);
    else if (name === 'locations' && layout.location !== null) {
      this.#expectRows(layout.locationFields, nodeCount);
    } else this.#stage = name === 'strings' ? 'strings' : 'skipped';
    this.#depth = 1;
    this.#sink.section?.(name, this.#cursor.base + this.#cursor.at);
  }

  #expectRows(length: number, count: number): void {
    this.#stage = 'numbers';
    this.#rowLength = length;
    this.#rowsLeft = count;
  }

  #readNumbers(): boolean {
    const cursor = this.#cursor;
    const data = this.#data;
    const batch = this.#batch;
    const rowLength = this.#rowLength;
    const next = skipBlanks(data, cursor.at);
    if (next >= cursor.end) return false;
    if (cursor.filled === 0 && data[next] === CLOSE) {
      cursor.at = next + 1;
      return this.#leaveSection();
    }
    if (this.#rowsLeft === 0) throw countsError(`"${this.#section}" has more rows than the header says`);
    const rows = Math.min(Math.floor(BATCH_VALUES / rowLength), this.#rowsLeft);
    scanNumbers(data, cursor, batch, rows * rowLength);
    const whole = Math.floor(cursor.filled / rowLength);
    const taken = whole * rowLength;
    if (whole > 0) this.#sink.numbers(this.#section as NumberSection, batch, taken);
    batch.copyWithin(0, taken, cursor.filled);
    cursor.filled -= taken;
    this.#rowsLeft -= whole;
    if (!cursor.closed) return whole > 0;
    if (cursor.filled > 0) throw countsError(`"${this.#section}" ends inside a row`);
    return this.#leaveSection();
  }

  /** Allocation traces and samples: nested arrays of numbers that no sink needs. */
  #readSkipped(): boolean {
    const cursor = this.#cursor;
    const data = this.#data;
    let at = cursor.at;
    for (; at < cursor.end && this.#depth > 0; at += 1) {
      const byte = data[at];
      if (byte === OPEN) this.#depth += 1;
      else if (byte === CLOSE) this.#depth--;
      else if (byte === QUOTE || byte === BRACE_OPEN) throw syntaxError(data, at, cursor);
    }
    cursor.at = at;
    return this.#depth === 0 && this.#leaveSection();
  }

  #readStrings(): boolean {
    const cursor = this.#cursor;
    const data = this.#data;
    for (;;) {
      const start = skipBlanks(data, cursor.at);
      if (start >= cursor.end) return false;
      const byte = data[start];
      const isFirst = this.#stringIndex === 0;
      if (byte === QUOTE && (this.#needsString || isFirst)) {
        const end = endOfString(data, start + 1, cursor.end);
        if (end < 0) return false;
        this.#sink.string(this.#stringIndex++, data, start + 1, end);
        this.#needsString = false;
        cursor.at = end + 1;
      } else if (byte === COMMA && !this.#needsString && !isFirst) {
        this.#needsString = true;
        cursor.at = start + 1;
      } else if (byte === CLOSE && !this.#needsString) {
        cursor.at = start + 1;
        return this.#leaveSection();
      } else throw syntaxError(data, start, cursor);
    }
  }

  #leaveSection(): true {
    const isCounted = this.#section === 'nodes' || this.#section === 'edges';
    if (isCounted && this.#rowsLeft > 0) {
      throw countsError(`"${this.#section}" has ${this.#rowsLeft} rows fewer than the header says`);
    }
    this.#stage = 'between';
    this.#sink.sectionEnd?.(this.#section);
    return true;
  }

  #readAfter(): boolean {
    const at = skipBlanks(this.#data, this.#cursor.at);
    if (at < this.#cursor.end) throw syntaxError(this.#data, at, this.#cursor);
    return false;
  }
}

const notASnapshot = (): SnapshotError =>
  new SnapshotError('WSGUARD_SNAPSHOT_NOT_ONE', 'the file does not start like a heap snapshot');
const countsError = (message: string): SnapshotError => new SnapshotError('WSGUARD_SNAPSHOT_COUNTS', message);
