// Makes snapshots and damages them. All random choices come from one seeded generator, so a seed repeats a case.
import { gzipSync } from 'node:zlib';

/** mulberry32 */
export function createChance(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (limit) => Math.floor(next() * limit);
  return { next, below, pick: (list) => list[below(list.length)] };
}

const NODE_TYPES =
  'hidden,array,string,object,code,closure,regexp,number,native,synthetic,concatenated string,sliced string,symbol,bigint,object shape'.split(
    ',',
  );
const EDGE_TYPES = 'context,element,property,internal,hidden,shortcut,weak'.split(',');

/** A small snapshot with random content, in the format of Node 20 (newlines, seven fields) or 26 (neither). */
export function makeSnapshot(chance) {
  const old = chance.next() < 0.5;
  const strings = ['', '(GC roots)', 'Map', 'Object', 'WebSocket', 'table', 'connections', 'onMessage'];
  for (let at = chance.below(200); at >= 0; at -= 1) {
    strings.push(
      chance.pick(['plain', 'es\\"caped', 'back\\\\slash', '\\u00e9\\ud83d\\ude00', '\\n\\t', 'ключ', '😀']) +
        at,
    );
  }
  const nodeCount = 2 + chance.below(400);
  const nodes = [];
  const edges = [];
  for (let at = 0; at < nodeCount; at += 1) {
    const edgeCount = at === 0 ? Math.min(nodeCount - 1, 20) : chance.below(chance.next() < 0.05 ? 60 : 5);
    const type = at === 0 ? 9 : chance.below(NODE_TYPES.length);
    nodes.push([
      type,
      chance.below(strings.length),
      at * 2 + 1,
      chance.below(5000),
      edgeCount,
      0,
      ...(old ? [0] : []),
    ]);
    for (let edge = 0; edge < edgeCount; edge += 1) {
      const kind = chance.below(EDGE_TYPES.length);
      const name = kind === 1 || kind === 4 ? chance.below(1e6) : chance.below(strings.length);
      const to = at === 0 ? edge + 1 : chance.below(nodeCount);
      edges.push([kind, name, to * (old ? 7 : 6)]);
    }
  }
  const fields = [
    'type',
    'name',
    'id',
    'self_size',
    'edge_count',
    ...(old ? ['trace_node_id'] : []),
    'detachedness',
  ];
  const snapshot = {
    meta: {
      node_fields: fields,
      node_types: [NODE_TYPES, 'string', 'number', 'number', 'number', 'number', ...(old ? ['number'] : [])],
      edge_fields: ['type', 'name_or_index', 'to_node'],
      edge_types: [EDGE_TYPES, 'string_or_number', 'node'],
      location_fields: ['object_index', 'script_id', 'line', 'column'],
    },
    node_count: nodes.length,
    edge_count: edges.length,
    trace_function_count: 0,
  };
  const rows = (list) => list.map((row) => row.join(',')).join(old ? '\n,' : ',') + (old ? '\n' : '');
  const quoted = strings.map((text) => `"${text}"`).join(old ? ',\n' : ',');
  return Buffer.from(
    `{"snapshot":${JSON.stringify(snapshot)},\n"nodes":[${rows(nodes)}],\n"edges":[${rows(edges)}],\n` +
      `"trace_function_infos":[],\n"trace_tree":[],\n"samples":[],\n"locations":[],\n"strings":[${quoted}]}`,
  );
}

const replaceOnce = (bytes, from, to) => {
  const at = bytes.indexOf(from);
  return at < 0
    ? bytes
    : Buffer.concat([bytes.subarray(0, at), Buffer.from(to), bytes.subarray(at + from.length)]);
};
const insert = (bytes, at, more) => Buffer.concat([bytes.subarray(0, at), more, bytes.subarray(at)]);
const HUGE = [
  '1000000000000',
  '4294967296',
  '4294967295',
  '18446744073709551616',
  '-1',
  '-294967296',
  '1e9',
  '0.5',
  'null',
  '""',
  '9'.repeat(400),
];

/** Replaces a number of a section by another one. */
function spoilNumber(bytes, chance, section) {
  const start = bytes.indexOf(`"${section}":[`);
  if (start < 0) return bytes;
  const end = bytes.indexOf(']', start);
  const at = start + section.length + 4 + chance.below(Math.max(1, end - start - section.length - 4));
  const from = bytes.lastIndexOf(',', at) + 1;
  const comma = bytes.indexOf(',', at);
  if (from <= start || comma < 0) return bytes;
  const value = chance.next() < 0.5 ? chance.pick(HUGE) : String(chance.below(2 ** 31));
  return Buffer.concat([bytes.subarray(0, from), Buffer.from(value), bytes.subarray(comma)]);
}

function spoilMeta(bytes, chance) {
  const [from, to] = chance.pick([
    ['"node_fields":["type"', '"node_fields":["kind"'],
    ['"edge_count"', '"edge_total"'],
    ['"to_node"', '"to"'],
    ['"self_size","edge_count"', '"edge_count","self_size"'],
    ['"type","name","id"', '"id","name","type"'],
    ['"node_types":[[', '"node_types":[null,['],
    ['"edge_types":[[', '"edge_types":[[],['],
    ['"meta":', '"atem":'],
    ['"node_fields":[', `"node_fields":[${'"x",'.repeat(chance.below(100))}`],
    ['"location_fields":', '"location_fields":7,"x":'],
    ['{"snapshot":', '{"snapshots":'],
    ['"node_count":', `"node_count":${chance.pick(HUGE)},"x":`],
    ['"edge_count":', `"edge_count":${chance.pick(HUGE)},"x":`],
    ['"nodes":', '"edges":'],
    ['"strings":', '"nodes":'],
    ['"trace_tree":[', `"trace_tree":[${'['.repeat(1 + chance.below(100_000))}`],
    ['"samples":[', `"samples":[{"a":[${'1,'.repeat(1000)}1]}`],
    ['"locations":[', '"locations":[0,1,2,3,99999999999,1,2,3'],
    ['"locations":[', '"locations":[1'],
  ]);
  return replaceOnce(bytes, from, to);
}

function flipBits(bytes, chance) {
  const spoiled = Buffer.from(bytes);
  for (let times = 1 + chance.below(16); times > 0; times -= 1) {
    spoiled[chance.below(spoiled.length)] ^= 1 << chance.below(8);
  }
  return spoiled;
}

function spoilStrings(bytes, chance) {
  const at = bytes.indexOf('"strings":[') + 11;
  const head = bytes.subarray(0, at);
  return chance.pick([
    () => Buffer.concat([head, Buffer.from('"'), Buffer.alloc(chance.pick([1e3, 1e6, 2e7]), 'a')]),
    () => Buffer.concat([head, Buffer.from('"x",'.repeat(chance.pick([10, 1e5, 2e6])))]),
    () => Buffer.concat([head, Buffer.from(`"${'\\'.repeat(1 + chance.below(9))}`)]),
    () => Buffer.concat([head, Buffer.from('"\\u12"]}')]),
    () => Buffer.concat([head, Buffer.from('"\\uD83D\\'), bytes.subarray(at)]),
    () => Buffer.concat([head, Buffer.from(']}')]),
    () => Buffer.concat([bytes.subarray(0, -1), Buffer.from(',"more":["secret"]}')]),
    () =>
      insert(
        bytes,
        at + chance.below(bytes.length - at),
        Buffer.from(chance.pick(['"', '\\', ',', ']', '}', '\n', '\u0000'])),
      ),
  ])();
}

const MUTATORS = {
  none: (bytes) => bytes,
  truncate: (bytes, chance) => bytes.subarray(0, chance.below(bytes.length)),
  flipBits,
  node: (bytes, chance) => spoilNumber(bytes, chance, 'nodes'),
  edge: (bytes, chance) => spoilNumber(bytes, chance, 'edges'),
  meta: spoilMeta,
  strings: spoilStrings,
  zeros: (bytes, chance) =>
    insert(bytes, chance.below(bytes.length), Buffer.alloc(chance.pick([1, 100, 3e6]))),
  digits: (bytes, chance) =>
    insert(bytes, chance.below(bytes.length), Buffer.alloc(chance.pick([1, 20, 3e6]), '1')),
  noise: (bytes, chance) =>
    insert(
      bytes,
      chance.below(bytes.length),
      Buffer.from(Array.from({ length: 1 + chance.below(64) }, () => chance.below(256))),
    ),
  repeat(bytes, chance) {
    const from = chance.below(bytes.length);
    return insert(bytes, chance.below(bytes.length), bytes.subarray(from, from + chance.below(5000)));
  },
  nothing: (_, chance) => Buffer.alloc(chance.pick([0, 1, 11, 2e6]), chance.pick([0, '{', '[', ' '])),
};
export const MUTATOR_NAMES = Object.keys(MUTATORS);

const BOMBS = {
  zeros: () => Buffer.alloc(300e6),
  spaces: (bytes) => insert(bytes, bytes.indexOf('"edges":[') + 9, Buffer.alloc(300e6, ' ')),
  strings: (bytes) =>
    Buffer.concat([bytes.subarray(0, bytes.indexOf('"strings":[') + 11), Buffer.alloc(300e6, '"",')]),
};

/** Damages a snapshot once or twice. Some are compressed, and some of these are damaged after the compression. */
export function spoil(bytes, chance) {
  const names = [chance.pick(MUTATOR_NAMES)];
  if (chance.next() < 0.3) names.push(chance.pick(MUTATOR_NAMES));
  let spoiled = bytes;
  for (const name of names)
    if (spoiled.length > 0 || name === 'nothing') spoiled = MUTATORS[name](spoiled, chance);
  const luck = chance.next();
  if (luck < 0.01) {
    const bomb = chance.pick(Object.keys(BOMBS));
    return { name: `bomb ${bomb}`, bytes: gzipSync(BOMBS[bomb](bytes), { level: 9 }) };
  }
  if (luck < 0.15) {
    names.push('gzip');
    spoiled = gzipSync(spoiled);
    if (luck < 0.06) {
      names.push('flipBits');
      spoiled = flipBits(spoiled, chance);
    } else if (luck < 0.1) {
      names.push('truncate');
      spoiled = spoiled.subarray(0, chance.below(spoiled.length));
    }
  }
  return { name: names.join(' + '), bytes: spoiled };
}
