import type { Locations } from './heap.ts';

/** Rows of the `locations` section: a few for each function and user object, never a large share of the file. */
export class LocationRows {
  readonly node: number[] = [];
  readonly scriptId: number[] = [];
  readonly line: number[] = [];
  readonly column: number[] = [];

  /** V8 writes them in the order in which it met them; we look them up by node. */
  sorted(): Locations {
    const order = Uint32Array.from(this.node.keys()).sort((a, b) => this.node[a]! - this.node[b]!);
    const column = (values: readonly number[]): Uint32Array => Uint32Array.from(order, (at) => values[at]!);
    return {
      node: column(this.node),
      scriptId: column(this.scriptId),
      line: column(this.line),
      column: column(this.column),
    };
  }
}
