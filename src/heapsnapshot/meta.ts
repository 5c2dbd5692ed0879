import { SnapshotError } from './errors.ts';

/** Where each field stands in a row; the file says so itself, and the rows differ between V8 versions. */
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
/** `to_node` is an index into the flat numbers, and offsets are doubles: beyond this nothing would add up. */
const MAX_COUNT = 2 ** 32 - 2;

/** The `snapshot` object at the front of the file. */
export function readHeader(json: string): SnapshotHeader {
  let parsed: unknown;
  try {
    parsed = JSON.parse(json);
  } catch {
    throw new SnapshotError('WSGUARD_SNAPSHOT_META', 'the header is not JSON');
  }
  const header = record(parsed, 'snapshot');
  const meta = record(header['meta'], 'meta');
  const nodeFields = names(meta['node_fields'], 'node_fields', MAX_FIELDS);
  const edgeFields = names(meta['edge_fields'], 'edge_fields', MAX_FIELDS);
  const locationFields =
    meta['location_fields'] === undefined
      ? []
      : names(meta['location_fields'], 'location_fields', MAX_FIELDS);
  return {
    layout: {
      nodeFields: nodeFields.length,
      node: {
        type: place(nodeFields, 'type'),
        name: place(nodeFields, 'name'),
        id: place(nodeFields, 'id'),
        selfSize: place(nodeFields, 'self_size'),
        edgeCount: place(nodeFields, 'edge_count'),
      },
      nodeTypes: names(first(meta['node_types']), 'node_types', MAX_TYPES),
      edgeFields: edgeFields.length,
      edge: {
        type: place(edgeFields, 'type'),
        nameOrIndex: place(edgeFields, 'name_or_index'),
        toNode: place(edgeFields, 'to_node'),
      },
      edgeTypes: names(first(meta['edge_types']), 'edge_types', MAX_TYPES),
      locationFields: locationFields.length,
      location: locationFields.length === 0 ? null : locationPlaces(locationFields),
    },
    nodeCount: count(header['node_count'], 'node_count'),
    edgeCount: count(header['edge_count'], 'edge_count'),
  };
}

function locationPlaces(fields: readonly string[]): NonNullable<Layout['location']> {
  return {
    objectIndex: place(fields, 'object_index'),
    scriptId: place(fields, 'script_id'),
    line: place(fields, 'line'),
    column: place(fields, 'column'),
  };
}

function record(value: unknown, what: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new SnapshotError('WSGUARD_SNAPSHOT_META', `the header has no object "${what}"`);
  }
  return value as Readonly<Record<string, unknown>>;
}

const first = (value: unknown): unknown => (Array.isArray(value) ? value[0] : undefined);

function names(value: unknown, what: string, max: number): readonly string[] {
  const good =
    Array.isArray(value) &&
    value.length > 0 &&
    value.length <= max &&
    value.every((name) => typeof name === 'string');
  if (!good) throw new SnapshotError('WSGUARD_SNAPSHOT_META', `"${what}" is not a list of names`);
  return value as readonly string[];
}

function place(fields: readonly string[], field: string): number {
  const at = fields.indexOf(field);
  if (at < 0) throw new SnapshotError('WSGUARD_SNAPSHOT_META', `rows have no field "${field}"`);
  return at;
}

function count(value: unknown, what: string): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0) {
    throw new SnapshotError('WSGUARD_SNAPSHOT_META', `"${what}" is not a count`);
  }
  if (value > MAX_COUNT) throw new SnapshotError('WSGUARD_SNAPSHOT_COUNTS', `"${what}" says ${value}`);
  return value;
}
