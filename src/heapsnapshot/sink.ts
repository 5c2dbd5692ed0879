import type { SnapshotHeader } from './meta.ts';

export type NumberSection = 'nodes' | 'edges' | 'locations';

/**
 * What the tokenizer tells, in the order of the file: header, nodes, edges, locations, strings.
 * Arrays and byte views are reused: they are valid during the call only.
 */
export interface SnapshotSink {
  header(header: SnapshotHeader): void;
  /** `offset`: of the first byte after the opening bracket, from the start of the (unpacked) file. */
  section?(name: string, offset: number): void;
  /** Whole rows of a section. */
  numbers(section: NumberSection, values: Float64Array, count: number): void;
  /** One string as it stands in the file, escapes included, quotes not: `data[start]` to `data[end - 1]`. */
  string(index: number, data: Uint8Array, start: number, end: number): void;
  sectionEnd?(name: string): void;
}
