/** Reads the header of a heap snapshot: the layout of its rows and their number. */
import { SnapshotError } from './snapshot-error.ts';

/** The index of each field in a row, as the header lists them. Rows differ between V8 versions. */
export interface Layout {
  readonly nodeFields: number;
  readonly node: {
    readonly type: number;
    readonly name: number;
    readonly id: number;
    readonly selfSize: number;
    readonly edgeCount: number;
  };
  readonly nodeTypes: readonly string[];
  readonly edgeFields: number;
  readonly edge: { readonly type: number; readonly nameOrIndex: number; readonly toNode: number };
  readonly edgeTypes: readonly string[];
  readonly locationFields: number;
  readonly location: {
    readonly objectIndex: number;
    readonly scriptId: number;
    readonly line: number;
    readonly column: number;
  } | null;
}

export interface SnapshotHeader {
  readonly layout: Layout;
  readonly nodeCount: number;
  readonly edgeCount: number;
}

const MAX_FIELDS = 32;
const MAX_TYPES = 64;
/** `to_node` is an index into all numbers of the nodes, so larger counts would not fit into 32 bits. */
const MAX_COUNT = 2 ** 32 - 2;

/** `json` is the `snapshot` object at the start of the file. */
export function readHeader(json: string): SnapshotHeader {
  let parsed: unknown;
  try {
    parsed = JSON.parse(json);
  } catch {
    throw new SnapshotError('WSGUARD_SNAPSHOT_META', 'the header is not JSON');
  }
  const header = objectAt(parsed, 'snapshot');
  const meta = objectAt(header['meta'], 'meta');
  const nodeFields = nameList(meta['node_fields'], 'node_fields', MAX_FIELDS);
  const edgeFields = nameList(meta['edge_fields'], 'edge_fields', MAX_FIELDS);
  const locationFields =
    meta['location_fields'] === undefined
      ? []
      : nameList(meta['location_fields'], 'location_fields', MAX_FIELDS);
  return {
    layout: {
      nodeFields: nodeFields.length,
      node: {
        type: fieldIndex(nodeFields, 'type'),
        name: fieldIndex(nodeFields, 'name'),
        id: fieldIndex(nodeFields, 'id'),
        selfSize: fieldIndex(nodeFields, 'self_size'),
        edgeCount: fieldIndex(nodeFields, 'edge_count'),
      },
      nodeTypes: nameList(first(meta['node_types']), 'node_types', MAX_TYPES),
      edgeFields: edgeFields.length,
      edge: {
        type: fieldIndex(edgeFields, 'type'),
        nameOrIndex: fieldIndex(edgeFields, 'name_or_index'),
        toNode: fieldIndex(edgeFields, 'to_node'),
      },
      edgeTypes: nameList(first(meta['edge_types']), 'edge_types', MAX_TYPES),
      locationFields: locationFields.length,
      location: locationFields.length === 0 ? null : locationIndexes(locationFields),
    },
    nodeCount: countAt(header['node_count'], 'node_count'),
    edgeCount: countAt(header['edge_count'], 'edge_count'),
  };
}

function locationIndexes(fields: readonly string[]): NonNullable<Layout['location']> {
  return {
    objectIndex: fieldIndex(fields, 'object_index'),
    scriptId: fieldIndex(fields, 'script_id'),
    line: fieldIndex(fields, 'line'),
    column: fieldIndex(fields, 'column'),
  };
}

function objectAt(value: unknown, name: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new SnapshotError('WSGUARD_SNAPSHOT_META', `the header has no object "${name}"`);
  }
  return value as Readonly<Record<string, unknown>>;
}

const first = (value: unknown): unknown => (Array.isArray(value) ? value[0] : undefined);

function nameList(value: unknown, field: string, max: number): readonly string[] {
  const isValid =
    Array.isArray(value) &&
    value.length > 0 &&
    value.length <= max &&
    value.every((name) => typeof name === 'string');
  if (!isValid) throw new SnapshotError('WSGUARD_SNAPSHOT_META', `"${field}" is not a list of names`);
  return value as readonly string[];
}

function fieldIndex(fields: readonly string[], field: string): number {
  const index = fields.indexOf(field);
  if (index < 0) throw new SnapshotError('WSGUARD_SNAPSHOT_META', `rows have no field "${field}"`);
  return index;
}

function countAt(value: unknown, field: string): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0) {
    throw new SnapshotError('WSGUARD_SNAPSHOT_META', `"${field}" is not a count`);
  }
  if (value > MAX_COUNT)
    throw new SnapshotError('WSGUARD_SNAPSHOT_COUNTS', `"${field}" is ${value}, more than ${MAX_COUNT}`);
  return value;
}
