import { IdReplacer } from '../../../src/heapsnapshot/id-replacer.ts';
import { HeapSnapshotBuilder, type Style } from '../../support/heap-snapshot-builder.ts';

function build(style: Style, nodes = 50): string {
  const builder = new HeapSnapshotBuilder(style);
  for (let node = 0; node < nodes; node += 1) builder.node('object', `Class ${node}, "nodes":[`);
  for (let node = 1; node < nodes; node += 1) builder.edge(0, 'property', `field ${node}`, node);
  return builder.toString();
}

/** The copy, from chunks in one buffer that is used again and again, as the reader of files does it. */
function replace(text: string, ids: readonly number[], chunkBytes: number): string {
  const parts: Uint8Array[] = [];
  const replacer = new IdReplacer(ids, (bytes) => parts.push(bytes));
  const bytes = Buffer.from(text);
  const reused = Buffer.alloc(chunkBytes);
  for (let offset = 0; offset < bytes.length; offset += chunkBytes) {
    const length = bytes.copy(reused, 0, offset, offset + chunkBytes);
    replacer.write(reused.subarray(0, length));
  }
  replacer.end();
  return Buffer.concat(parts).toString();
}

interface Parsed {
  readonly snapshot: { readonly meta: { readonly node_fields: readonly string[] } };
  readonly nodes: number[];
}

describe.each<Style>(['node20', 'node26'])('a snapshot as of %s', (style) => {
  test.each([1, 7, 100, 1 << 20])(
    'read in chunks of %d bytes has other ids and nothing else',
    (chunkBytes) => {
      const text = build(style);
      const ids = Array.from({ length: 50 }, (_, node) => 1_000_001 + 2 * node);
      const before = JSON.parse(text) as Parsed;
      const after = JSON.parse(replace(text, ids, chunkBytes)) as Parsed;
      const fields = before.snapshot.meta.node_fields;
      const idField = fields.indexOf('id');
      expect(after.nodes.filter((_, index) => index % fields.length === idField)).toEqual(ids);
      const others = ({ nodes }: Parsed) => nodes.filter((_, index) => index % fields.length !== idField);
      expect({ ...after, nodes: others(after) }).toEqual({ ...before, nodes: others(before) });
    },
  );
});

test('more nodes than the tokenizer reports at once', () => {
  const text = build('node20', 5_000);
  const ids = Array.from({ length: 5_000 }, (_, node) => node * 2 + 1);
  expect(JSON.parse(replace(text, ids, 1 << 16))).toEqual(JSON.parse(text));
});

test('a file that is cut off is refused', () => {
  const text = build('node20');
  expect(() => replace(text.slice(0, -20), [], 100)).toThrow(
    expect.objectContaining({ name: 'SnapshotError' }) as Error,
  );
});
