import { SnapshotError } from './errors.ts';
import { endOfObject, endOfString } from './json.ts';
import { readHeader } from './meta.ts';
import type { SnapshotHeader } from './meta.ts';
import { scanNumbers, skipBlanks, syntax } from './numbers.ts';
import type { Cursor } from './numbers.ts';
import type { NumberSection, SnapshotSink } from './sink.ts';

const FRONT = '{"snapshot":';
const HEADER_LIMIT_BYTES = 1 << 20;
/** V8 cuts strings at 1,024 characters unless told otherwise; a character takes up to six bytes. */
const STRING_LIMIT_BYTES = 16 << 20;
/** The most that may be carried from one chunk to the next outside of strings. */
const CARRY_LIMIT_BYTES = 1 << 20;
const BATCH_VALUES = 1 << 14;

const QUOTE = 34;
const COMMA = 44;
const OPEN = 91;
const CLOSE = 93;
const BRACE_OPEN = 123;
const BRACE_CLOSE = 125;

type Stage = 'header' | 'between' | 'numbers' | 'skipped' | 'strings' | 'after';

/** Reads a heap snapshot in pieces of any size; holds one piece and what was cut at its end. */
export class Tokenizer {
  private readonly sink: SnapshotSink;
  private readonly batch = new Float64Array(BATCH_VALUES);
  private readonly cursor: Cursor = { at: 0, end: 0, base: 0, closed: false, filled: 0 };
  private readonly seen = new Set<string>();
  private data: Uint8Array = new Uint8Array(1);
  private stage: Stage = 'header';
  private header: SnapshotHeader | null = null;
  private section = '';
  private rowLength = 1;
  private rowsLeft = 0;
  private depth = 0;
  private stringIndex = 0;
  /** Inside `strings`, after a comma. */
  private stringMust = false;

  constructor(sink: SnapshotSink) {
    this.sink = sink;
  }

  write(chunk: Uint8Array): void {
    this.take(chunk);
    while (this.step());
    const carried = this.cursor.end - this.cursor.at;
    const limit = this.stage === 'strings' ? STRING_LIMIT_BYTES : CARRY_LIMIT_BYTES;
    if (carried <= limit) return;
    throw this.stage === 'strings'
      ? new SnapshotError(
          'WSGUARD_SNAPSHOT_STRINGS',
          `string ${this.stringIndex} is longer than ${limit} bytes`,
        )
      : syntax(this.data, this.cursor.at, this.cursor);
  }

  /** No more bytes; throws when the file is not complete. */
  end(): void {
    if (this.stage === 'after' && ['nodes', 'edges', 'strings'].every((name) => this.seen.has(name))) return;
    if (this.stage === 'header' && this.cursor.base + this.cursor.end < FRONT.length) throw notOne();
    const where = this.stage === 'header' ? 'header' : this.section;
    throw new SnapshotError(
      'WSGUARD_SNAPSHOT_TRUNCATED',
      `the file ends after ${this.cursor.base + this.cursor.end} bytes, inside or after "${where}"`,
    );
  }

  /** Puts what was cut and the new chunk side by side, and a zero behind them: loops then need no bound check. */
  private take(chunk: Uint8Array): void {
    const { cursor } = this;
    const carried = cursor.end - cursor.at;
    const needed = carried + chunk.length + 1;
    const rest = this.data.subarray(cursor.at, cursor.end);
    if (this.data.length < needed) this.data = new Uint8Array(Math.max(needed, carried * 2));
    this.data.set(rest);
    this.data.set(chunk, carried);
    this.data[needed - 1] = 0;
    cursor.base += cursor.at;
    cursor.at = 0;
    cursor.end = needed - 1;
  }

  /** Goes on as far as the bytes allow; false when more of them are needed. */
  private step(): boolean {
    switch (this.stage) {
      case 'header':
        return this.readHeader();
      case 'between':
        return this.readKey();
      case 'numbers':
        return this.readNumbers();
      case 'skipped':
        return this.readSkipped();
      case 'strings':
        return this.readStrings();
      case 'after':
        return this.readAfter();
    }
  }

  private readHeader(): boolean {
    const { cursor, data } = this;
    for (let at = 0; at < FRONT.length && at < cursor.end; at += 1) {
      if (data[at] !== FRONT.charCodeAt(at)) throw notOne();
    }
    const end = endOfObject(data, FRONT.length, cursor.end);
    if (end < 0) {
      if (cursor.end > HEADER_LIMIT_BYTES) throw notOne();
      return false;
    }
    this.header = readHeader(new TextDecoder().decode(data.subarray(FRONT.length, end)));
    this.sink.header(this.header);
    cursor.at = end;
    this.stage = 'between';
    return true;
  }

  private readKey(): boolean {
    const { cursor, data } = this;
    const start = skipBlanks(data, cursor.at);
    if (start >= cursor.end) return false;
    if (data[start] === BRACE_CLOSE) {
      cursor.at = start + 1;
      this.stage = 'after';
      return true;
    }
    if (data[start] !== COMMA) throw syntax(data, start, cursor);
    const open = data.indexOf(OPEN, start);
    if (open < 0 || open >= cursor.end) return false;
    const key = /^,\s*"(\w{1,40})"\s*:\s*$/.exec(
      new TextDecoder('latin1').decode(data.subarray(start, open)),
    );
    if (key === null) throw syntax(data, start, cursor);
    cursor.at = open + 1;
    this.enter(key[1]!);
    return true;
  }

  private enter(name: string): void {
    const { layout, nodeCount, edgeCount } = this.header!;
    const before = { edges: 'nodes', locations: 'nodes', strings: 'edges' }[name];
    if (this.seen.has(name) || (before !== undefined && !this.seen.has(before))) {
      throw new SnapshotError('WSGUARD_SNAPSHOT_SYNTAX', `section "${name}" is not where V8 writes it`);
    }
    this.seen.add(name);
    this.section = name;
    this.cursor.closed = false;
    this.cursor.filled = 0;
    if (name === 'nodes') this.expectRows(layout.nodeFields, nodeCount);
    else if (name === 'edges') this.expectRows(layout.edgeFields, edgeCount);
    else if (name === 'locations' && layout.location !== null) {
      this.expectRows(layout.locationFields, nodeCount);
    } else this.stage = name === 'strings' ? 'strings' : 'skipped';
    this.depth = 1;
    this.sink.section?.(name, this.cursor.base + this.cursor.at);
  }

  private expectRows(length: number, count: number): void {
    this.stage = 'numbers';
    this.rowLength = length;
    this.rowsLeft = count;
  }

  private readNumbers(): boolean {
    const { cursor, data, batch, rowLength } = this;
    const next = skipBlanks(data, cursor.at);
    if (next >= cursor.end) return false;
    if (cursor.filled === 0 && data[next] === CLOSE) {
      cursor.at = next + 1;
      return this.leave();
    }
    if (this.rowsLeft === 0) throw counts(`"${this.section}" has more rows than the header says`);
    const rows = Math.min(Math.floor(BATCH_VALUES / rowLength), this.rowsLeft);
    scanNumbers(data, cursor, batch, rows * rowLength);
    const whole = Math.floor(cursor.filled / rowLength);
    const taken = whole * rowLength;
    if (whole > 0) this.sink.numbers(this.section as NumberSection, batch, taken);
    batch.copyWithin(0, taken, cursor.filled);
    cursor.filled -= taken;
    this.rowsLeft -= whole;
    if (!cursor.closed) return whole > 0;
    if (cursor.filled > 0) throw counts(`"${this.section}" ends inside a row`);
    return this.leave();
  }

  /** Allocation traces and samples: nested numbers that nothing here needs. */
  private readSkipped(): boolean {
    const { cursor, data } = this;
    let at = cursor.at;
    for (; at < cursor.end && this.depth > 0; at += 1) {
      const byte = data[at];
      if (byte === OPEN) this.depth += 1;
      else if (byte === CLOSE) this.depth--;
      else if (byte === QUOTE || byte === BRACE_OPEN) throw syntax(data, at, cursor);
    }
    cursor.at = at;
    return this.depth === 0 && this.leave();
  }

  private readStrings(): boolean {
    const { cursor, data } = this;
    for (;;) {
      const start = skipBlanks(data, cursor.at);
      if (start >= cursor.end) return false;
      const byte = data[start];
      const isFirst = this.stringIndex === 0;
      if (byte === QUOTE && (this.stringMust || isFirst)) {
        const end = endOfString(data, start + 1, cursor.end);
        if (end < 0) return false;
        this.sink.string(this.stringIndex++, data, start + 1, end);
        this.stringMust = false;
        cursor.at = end + 1;
      } else if (byte === COMMA && !this.stringMust && !isFirst) {
        this.stringMust = true;
        cursor.at = start + 1;
      } else if (byte === CLOSE && !this.stringMust) {
        cursor.at = start + 1;
        return this.leave();
      } else throw syntax(data, start, cursor);
    }
  }

  private leave(): true {
    const isPromised = this.section === 'nodes' || this.section === 'edges';
    if (isPromised && this.rowsLeft > 0) {
      throw counts(`"${this.section}" has ${this.rowsLeft} rows less than the header says`);
    }
    this.stage = 'between';
    this.sink.sectionEnd?.(this.section);
    return true;
  }

  private readAfter(): boolean {
    const at = skipBlanks(this.data, this.cursor.at);
    if (at < this.cursor.end) throw syntax(this.data, at, this.cursor);
    return false;
  }
}

const notOne = (): SnapshotError =>
  new SnapshotError('WSGUARD_SNAPSHOT_NOT_ONE', 'the file does not begin as a heap snapshot');
const counts = (message: string): SnapshotError => new SnapshotError('WSGUARD_SNAPSHOT_COUNTS', message);
