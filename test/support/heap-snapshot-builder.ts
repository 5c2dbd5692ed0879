/** Builds small heap snapshots as V8 writes them: `node20` with newlines and seven fields, `node26` with neither. */

export type Style = 'node20' | 'node26';
export type EdgeType = 'context' | 'element' | 'property' | 'internal' | 'hidden' | 'shortcut' | 'weak';

const NODE_TYPES = [
  'hidden',
  'array',
  'string',
  'object',
  'code',
  'closure',
  'regexp',
  'number',
  'native',
  'synthetic',
  'concatenated string',
  'sliced string',
  'symbol',
  'bigint',
  'object shape',
];
export const EDGE_TYPES: readonly EdgeType[] = [
  'context',
  'element',
  'property',
  'internal',
  'hidden',
  'shortcut',
  'weak',
];

interface Row {
  readonly type: number;
  readonly name: number;
  readonly id: number;
  readonly selfSize: number;
  readonly edges: [number, number, number][];
}

export class HeapSnapshotBuilder {
  readonly style: Style;
  readonly rows: Row[] = [];
  private readonly strings = ['<dummy>'];
  private readonly stringIndex = new Map<string, number>();
  private readonly locations: number[][] = [];

  constructor(style: Style = 'node26') {
    this.style = style;
  }

  /** Returns the node's index; the first node is the root. */
  node(type: string, name: string, options: { id?: number; selfSize?: number } = {}): number {
    this.rows.push({
      type: NODE_TYPES.indexOf(type),
      name: this.text(name),
      id: options.id ?? this.rows.length * 2 + 1,
      selfSize: options.selfSize ?? 16,
      edges: [],
    });
    return this.rows.length - 1;
  }

  edge(from: number, type: EdgeType, name: string | number, to: number): this {
    const nameOrIndex = typeof name === 'number' ? name : this.text(name);
    this.rows[from]!.edges.push([EDGE_TYPES.indexOf(type), nameOrIndex, to]);
    return this;
  }

  locate(node: number, scriptId: number, line: number, column: number): this {
    this.locations.push([node * this.fields.length, scriptId, line, column]);
    return this;
  }

  toString(): string {
    const { fields } = this;
    const between = this.style === 'node20' ? '\n' : '';
    const rows = (list: readonly (readonly number[])[]): string =>
      list.map((row) => row.join(',')).join(`${between},`) + (list.length > 0 ? between : '');
    const nodes = this.rows.map((row) =>
      [row.type, row.name, row.id, row.selfSize, row.edges.length, 0, 0].slice(0, fields.length),
    );
    const edges = this.rows.flatMap((row) =>
      row.edges.map(([type, name, to]) => [type, name, to * fields.length]),
    );
    return (
      `{"snapshot":${JSON.stringify(this.header(edges.length))},\n` +
      `"nodes":[${rows(nodes)}],\n"edges":[${rows(edges)}],\n` +
      `"trace_function_infos":[${between}],\n"trace_tree":[${between}],\n"samples":[${between}],\n` +
      `"locations":[${rows(this.locations)}],\n` +
      `"strings":[${this.strings.map((text) => JSON.stringify(text)).join(',\n')}]}`
    );
  }

  toBuffer(): Buffer {
    return Buffer.from(this.toString());
  }

  private get fields(): readonly string[] {
    const all = ['type', 'name', 'id', 'self_size', 'edge_count'];
    return this.style === 'node20' ? [...all, 'trace_node_id', 'detachedness'] : [...all, 'detachedness'];
  }

  private header(edgeCount: number): unknown {
    return {
      meta: {
        node_fields: this.fields,
        node_types: [NODE_TYPES, 'string', ...this.fields.slice(2).map(() => 'number')],
        edge_fields: ['type', 'name_or_index', 'to_node'],
        edge_types: [EDGE_TYPES, 'string_or_number', 'node'],
        trace_function_info_fields: ['function_id', 'name', 'script_name', 'script_id', 'line', 'column'],
        trace_node_fields: ['id', 'function_info_index', 'count', 'size', 'children'],
        sample_fields: ['timestamp_us', 'last_assigned_id'],
        location_fields: ['object_index', 'script_id', 'line', 'column'],
      },
      node_count: this.rows.length,
      edge_count: edgeCount,
      trace_function_count: 0,
    };
  }

  private text(text: string): number {
    let index = this.stringIndex.get(text);
    if (index === undefined) {
      index = this.strings.push(text) - 1;
      this.stringIndex.set(text, index);
    }
    return index;
  }
}
