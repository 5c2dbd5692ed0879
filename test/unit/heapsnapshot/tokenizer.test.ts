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
  for (let at = 0; at < bytes.length; at += chunkBytes) tokenizer.write(bytes.subarray(at, at + chunkBytes));
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

describe.each(STYLES)('a snapshot as %s writes it', (style) => {
  const bytes = sample(style).toBuffer();
  const whole = read(bytes);
  const width = style === 'node20' ? 7 : 6;

  test('gives every number, the last of each section too', () => {
    expect(whole.nodes.length).toBe(3 * width);
    expect(whole.nodes.slice(2 * width, 2 * width + 5)).toEqual([8, 3, 4_000_000_001, 5_368_709_120, 0]);
    expect(whole.edges.slice(-3)).toEqual([4, 7, 0]);
    expect(whole.locations).toEqual([width, 12, 40, 3]);
  });

  test('gives the strings, escapes undone, and where they begin', () => {
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

  test.each([1, 2, 3, 5, 7, 16, 64])('is the same in chunks of %i bytes', (chunkBytes) => {
    expect(read(bytes, chunkBytes)).toEqual(whole);
  });

  test('cut anywhere it says that it ends too early', () => {
    for (let length = 13; length < bytes.length; length++) {
      expect(() => read(bytes.subarray(0, length), 50)).toThrow(/ends after|ends inside/);
    }
  });
});

test.each([
  ['another file', 'PK\u0003\u0004 not a snapshot at all', 'WSGUARD_SNAPSHOT_NOT_ONE'],
  ['nothing', '', 'WSGUARD_SNAPSHOT_NOT_ONE'],
  ['zeros', '\0'.repeat(5000), 'WSGUARD_SNAPSHOT_NOT_ONE'],
  ['no meta', '{"snapshot":{"node_count":1},\n"nodes":[', 'WSGUARD_SNAPSHOT_META'],
])('%s is refused', (_what, text, code) => {
  expect(codeOf(Buffer.from(text))).toBe(code);
});

test.each([
  ['fields without a type', (text: string) => text.replace('["type",', '["typo",'), 'META'],
  ['10^12 nodes', (text: string) => text.replace(/"node_count":\d+/, '"node_count":1000000000000'), 'COUNTS'],
  [
    'a node less than promised',
    (text: string) => text.replace(/"node_count":\d+/, '"node_count":4'),
    'COUNTS',
  ],
  [
    'a node more than promised',
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
  ['something behind the end', (text: string) => `${text}x`, 'SYNTAX'],
])('%s is an error of its own', (_what, spoil, code) => {
  const text = sample('node26').toString();
  expect(spoil(text)).not.toBe(text);
  expect(codeOf(Buffer.from(spoil(text)))).toBe(`WSGUARD_SNAPSHOT_${code}`);
});

test('an index from 2^31 on, which Node 24 and 26 write as an int32, is what it was', () => {
  const heap = sample('node26');
  const bytes = Buffer.from(heap.toString().replace('"edges":[1,1,', '"edges":[1,-294967296,'));
  expect(read(bytes).edges[1]).toBe(4_000_000_000);
  expect(read(bytes, 3).edges[1]).toBe(4_000_000_000);
});

test('a string that never ends is given up in bounded memory', () => {
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
