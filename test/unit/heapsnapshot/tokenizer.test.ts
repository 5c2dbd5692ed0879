/** The tokenizer on built snapshots of both layouts, damaged files and random graphs. */
import fc from 'fast-check';
import { decodeString } from '../../../src/heapsnapshot/json.ts';
import { Tokenizer } from '../../../src/heapsnapshot/tokenizer.ts';
import { HeapSnapshotBuilder } from '../../support/heap-snapshot-builder.ts';
import type { Style } from '../../support/heap-snapshot-builder.ts';

function read(bytes: Uint8Array, chunkBytes = bytes.length) {
  const seen = {
    nodes: [] as number[],
    edges: [] as number[],
    locations: [] as number[],
    strings: [] as string[],
    sections: [] as string[],
    stringsAt: 0,
  };
  const tokenizer = new Tokenizer({
    header: () => {},
    section(name, offset) {
      seen.sections.push(name);
      if (name === 'strings') seen.stringsAt = offset;
    },
    numbers: (section, values, count) => seen[section].push(...values.subarray(0, count)),
    string(index, data, start, end) {
      expect(index).toBe(seen.strings.length);
      seen.strings.push(decodeString(data, start, end));
    },
  });
  for (let offset = 0; offset < bytes.length; offset += chunkBytes)
    tokenizer.write(bytes.subarray(offset, offset + chunkBytes));
  tokenizer.end();
  return seen;
}

function sample(style: Style): HeapSnapshotBuilder {
  const heap = new HeapSnapshotBuilder(style);
  const root = heap.node('synthetic', '', { selfSize: 0 });
  const map = heap.node('object', 'Map "of" \\ \u2028 rooms', { id: 123_456_789 });
  const huge = heap.node('native', 'system / JSArrayBufferData', {
    id: 4_000_000_001,
    selfSize: 5_368_709_120,
  });
  heap.edge(root, 'element', 1, map).edge(map, 'property', 'täble', huge).edge(map, 'hidden', 7, root);
  return heap.locate(map, 12, 40, 3);
}

const STYLES: readonly Style[] = ['node20', 'node26'];

describe.each(STYLES)('a snapshot in the layout of %s', (style) => {
  const bytes = sample(style).toBuffer();
  const whole = read(bytes);
  const width = style === 'node20' ? 7 : 6;

  test('passes on all numbers, including the last of each section', () => {
    expect(whole.nodes.length).toBe(3 * width);
    expect(whole.nodes.slice(2 * width, 2 * width + 5)).toEqual([8, 3, 4_000_000_001, 5_368_709_120, 0]);
    expect(whole.edges.slice(-3)).toEqual([4, 7, 0]);
    expect(whole.locations).toEqual([width, 12, 40, 3]);
  });

  test('passes on the strings and the offset of the first', () => {
    expect(whole.strings).toEqual([
      '<dummy>',
      '',
      'Map "of" \\ \u2028 rooms',
      'system / JSArrayBufferData',
      'täble',
    ]);
    expect(bytes.subarray(whole.stringsAt - 11, whole.stringsAt).toString()).toBe('"strings":[');
    expect(whole.sections.at(-1)).toBe('strings');
  });

  test.each([1, 2, 3, 5, 7, 16, 64])('reads the same in chunks of %i bytes', (chunkBytes) => {
    expect(read(bytes, chunkBytes)).toEqual(whole);
  });

  test('cut at any byte: the error says that it ends too early', () => {
    for (let length = 13; length < bytes.length; length++) {
      expect(() => read(bytes.subarray(0, length), 50)).toThrow(/ends after|ends inside/);
    }
  });
});

test.each([
  ['another file', 'PK\u0003\u0004 not a snapshot at all', 'WSGUARD_SNAPSHOT_NOT_ONE'],
  ['an empty file', '', 'WSGUARD_SNAPSHOT_NOT_ONE'],
  ['zeros', '\0'.repeat(5000), 'WSGUARD_SNAPSHOT_NOT_ONE'],
  ['no meta', '{"snapshot":{"node_count":1},\n"nodes":[', 'WSGUARD_SNAPSHOT_META'],
])('%s is refused', (_title, text, code) => {
  expect(codeOf(Buffer.from(text))).toBe(code);
});

test.each([
  ['fields without a type', (text: string) => text.replace('["type",', '["typo",'), 'META'],
  ['10^12 nodes', (text: string) => text.replace(/"node_count":\d+/, '"node_count":1000000000000'), 'COUNTS'],
  [
    'fewer nodes than the header says',
    (text: string) => text.replace(/"node_count":\d+/, '"node_count":4'),
    'COUNTS',
  ],
  [
    'more nodes than the header says',
    (text: string) => text.replace(/"node_count":\d+/, '"node_count":2'),
    'COUNTS',
  ],
  ['a minus alone', (text: string) => text.replace('"edges":[1,', '"edges":[-,'), 'SYNTAX'],
  [
    'a number of 40 digits',
    (text: string) => text.replace('"edges":[1', `"edges":[${'1'.repeat(40)}`),
    'SYNTAX',
  ],
  ['strings before nodes', (text: string) => text.replace('"nodes":[', '"strings":['), 'SYNTAX'],
  ['two strings without a comma', (text: string) => text.replace('"<dummy>",', '"<dummy>"'), 'SYNTAX'],
  ['text after the end', (text: string) => `${text}x`, 'SYNTAX'],
])('%s has its own error code', (_title, damage, code) => {
  const text = sample('node26').toString();
  expect(damage(text)).not.toBe(text);
  expect(codeOf(Buffer.from(damage(text)))).toBe(`WSGUARD_SNAPSHOT_${code}`);
});

test('restores an index from 2^31, which Node 24 and 26 write as an int32', () => {
  const heap = sample('node26');
  const bytes = Buffer.from(heap.toString().replace('"edges":[1,1,', '"edges":[1,-294967296,'));
  expect(read(bytes).edges[1]).toBe(4_000_000_000);
  expect(read(bytes, 3).edges[1]).toBe(4_000_000_000);
});

test('refuses a string that never ends, in bounded memory', () => {
  const text = sample('node26').toString();
  const tokenizer = new Tokenizer({ header: () => {}, numbers: () => {}, string: () => {} });
  tokenizer.write(Buffer.from(text.slice(0, text.indexOf('"<dummy>') + 3)));
  const more = Buffer.alloc(1 << 20, 'a');
  let chunks = 0;
  expect(() => {
    for (; chunks < 100; chunks++) tokenizer.write(more);
  }).toThrow(/longer than/);
  expect(chunks).toBeLessThan(20);
});

function codeOf(bytes: Uint8Array): string {
  try {
    read(bytes, 999);
  } catch (error) {
    return (error as { code: string }).code;
  }
  return 'none';
}

test('random graphs in random chunks: the same numbers and strings as JSON.parse returns', () => {
  const graph = fc.record({
    style: fc.constantFrom(...STYLES),
    names: fc.array(fc.string({ unit: 'grapheme', maxLength: 20 }), { minLength: 1, maxLength: 12 }),
    sizes: fc.array(fc.nat(2 ** 40), { minLength: 1, maxLength: 12 }),
    edges: fc.array(fc.tuple(fc.nat(11), fc.nat(11), fc.nat(2 ** 31 - 1)), { maxLength: 40 }),
    locations: fc.array(fc.tuple(fc.nat(11), fc.nat(2 ** 31)), { maxLength: 6 }),
    chunkBytes: fc.integer({ min: 1, max: 300 }),
  });
  fc.assert(
    fc.property(graph, ({ style, names, sizes, edges, locations, chunkBytes }) => {
      const builder = new HeapSnapshotBuilder(style);
      const count = Math.max(names.length, sizes.length);
      for (let node = 0; node < count; node += 1)
        builder.node('object', names[node] ?? '', { selfSize: sizes[node] ?? 0 });
      for (const [from, to, index] of edges) {
        builder.edge(from % count, 'element', index, to % count);
        builder.edge(from % count, 'property', names[index % names.length]!, to % count);
      }
      const located = new Set(locations.map(([node]) => node % count));
      for (const node of located) builder.locate(node, 1, 2, locations[0]![1]);
      const bytes = builder.toBuffer();
      const { nodes, edges: allEdges, locations: rows, strings } = read(bytes, chunkBytes);
      expect({ nodes, edges: allEdges, locations: rows, strings }).toEqual(
        pick(JSON.parse(bytes.toString())),
      );
    }),
    { numRuns: 300 },
  );
});

const pick = (file: {
  nodes: number[];
  edges: number[];
  locations: number[];
  strings: string[];
}): unknown => {
  const { nodes, edges, locations, strings } = file;
  return { nodes, edges, locations, strings };
};
