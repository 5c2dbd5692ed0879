import fc from 'fast-check';
import { isReadableName, REDACTION_RULES } from '../../../src/capture/redaction-rules.ts';
import { Rewriter } from '../../../src/heapsnapshot/rewriter.ts';
import { USE } from '../../../src/heapsnapshot/string-uses.ts';
import { HeapSnapshotBuilder } from '../../support/heap-snapshot-builder.ts';
import type { Style } from '../../support/heap-snapshot-builder.ts';

function redact(bytes: Uint8Array, chunkBytes = bytes.length): string {
  const out: Uint8Array[] = [];
  const rewriter = new Rewriter(REDACTION_RULES, (piece) => out.push(new Uint8Array(piece)));
  // The reader reuses its buffer too.
  const chunk = Buffer.alloc(chunkBytes);
  for (let offset = 0; offset < bytes.length; offset += chunkBytes) {
    const length = Math.min(chunkBytes, bytes.length - offset);
    chunk.set(bytes.subarray(offset, offset + length));
    rewriter.write(chunk.subarray(0, length));
    chunk.fill(0);
  }
  rewriter.end();
  return Buffer.concat(out).toString('utf8');
}
const stringsOf = (json: string): string[] => (JSON.parse(json) as { strings: string[] }).strings;

test.each([
  'connections',
  '_events',
  '#private',
  'get size',
  'user:join',
  'content-type',
  'Symbol.iterator',
  'utf8',
  'kHandle',
  'getOwnPropertyDescriptor',
  '$scope',
  'HTTP_STATUS_NOT_FOUND',
  'größe',
  'getOwnPropertyDescriptorsOfAll',
  'clientsByUserId',
  'MaxListenersExceededWarning',
  'perMessageDeflate',
  'SharedArrayBuffer',
  'isIPv6',
])('%s is readable as a name', (name) => {
  expect(isReadableName(name)).toBe(true);
});

test.each([
  'alice@example.com',
  '4111111111111111',
  '+49 170 1234567',
  'sk_live_51H8xkJ2eZvKYlo2C',
  'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9',
  'dGhpc0lzQVNlY3JldFRva2VuT2ZTb21lTGVuZ3Ro',
  'a1b2c3d4e5f6',
  '550e8400-e29b-41d4-a716-446655440000',
  '10.12.13.14',
  'customer4711',
  'user:421',
  'rooms/7/members',
  'token=abc',
  'Alice Smith',
  'planted-function-b2badbee1cbcdcb0',
  'kxQJdVvLaQZsfAAAB',
  'qwzkxvbnmhjtrp',
  'x'.repeat(81),
  '',
])('%s is not readable', (name) => {
  expect(isReadableName(name)).toBe(false);
});

const LOWER = 'abcdefghijklmnopqrstuvwxyz';
const MIXED = `${LOWER}${LOWER.toUpperCase()}`;
test.each([
  ['base62', 16, `${MIXED}0123456789`, 0.02],
  ['base62', 22, `${MIXED}0123456789`, 0.01],
  ['nanoid', 21, `${MIXED}0123456789_-`, 0.03],
  ['base36', 16, `${LOWER}0123456789`, 0.02],
  ['letters', 16, MIXED, 0.05],
  ['hexadecimal', 16, '0123456789abcdef', 0.001],
])('hardly any random %s token of %i characters is readable', (_, length, alphabet, maxShare) => {
  const character = fc.constantFrom(...alphabet.split(''));
  const tokens = fc.sample(fc.array(character, { minLength: length, maxLength: length }), {
    numRuns: 4000,
    seed: 7,
  });
  const kept = tokens.filter((token) => isReadableName(token.join('')));
  expect(kept.length / tokens.length).toBeLessThan(maxShare);
});

describe.each<Style>(['node20', 'node26'])('a snapshot in the format of %s', (style) => {
  const heap = new HeapSnapshotBuilder(style);
  const root = heap.node('synthetic', '(GC roots)');
  const server = heap.node('object', 'ChatServer');
  const map = heap.node('object', 'Map');
  const table = heap.node('array', '(object elements)');
  const users = heap.node('object', 'Object');
  const small = heap.node('object', 'Object');
  heap.edge(root, 'element', 1, server).edge(server, 'property', 'sessions', map);
  heap.edge(server, 'property', 'users', users).edge(server, 'property', 'last', small);
  heap.edge(map, 'internal', 'table', table);
  heap.edge(table, 'internal', '0', heap.node('string', 'map-key-secret'));
  heap.edge(table, 'internal', '1', heap.node('string', 'quote " slash \\ nl \n é 😀 tab\t 42'));
  for (let i = 0; i < 20; i += 1) {
    const name = String.fromCharCode(97 + i).repeat(3);
    heap.edge(users, 'property', `user${name}`, heap.node('object', 'Session'));
  }
  heap.edge(small, 'property', 'bob@example.com', heap.node('regexp', '^secret-pattern$'));
  heap.edge(small, 'property', '<symbol kHandle>', heap.node('symbol', 'symbol'));
  heap.edge(small, 'property', '<symbol tok3n-91827364>', heap.node('object', 'Secret Tag 99'));
  heap.edge(small, 'property', 'shared', heap.node('string', 'sessions'));
  heap.edge(root, 'context', 'onConnection', heap.node('closure', 'onConnection'));
  heap.edge(
    root,
    'internal',
    '7 / part of key (Session @9) -> value (hunter2 & co @11) pair in WeakMap (table @13)',
    heap.node('code', '/app/server-2024-11.js'),
  );
  const raw = heap.toBuffer();
  const redacted = redact(raw);
  const strings = stringsOf(redacted);

  test('keeps names of classes, functions, fields, variables and scripts', () => {
    for (const name of [
      'ChatServer',
      'Map',
      'Session',
      'sessions',
      'users',
      'last',
      'onConnection',
      'table',
    ]) {
      expect(strings).toContain(name);
    }
    expect(strings).toEqual(expect.arrayContaining(['/app/server-2024-11.js', '<symbol kHandle>']));
  });

  test('masks values, map keys, dictionary keys, patterns and names set at run time', () => {
    for (const secret of [
      'map-key',
      'slash',
      'useraaa',
      'bob',
      'pattern',
      'tok3n',
      'Secret Tag',
      'hunter2',
    ]) {
      expect(redacted).not.toContain(secret);
    }
    expect(strings).toContain('xxx/xxxx'.replace('/', 'x').padEnd(14, 'x'));
    expect(strings.filter((text) => text.includes('part of key'))).toEqual([
      '7 / part of key (Session @9) -> value (masked @11) pair in WeakMap (table @13)',
    ]);
  });

  test('changes only strings, and not their number', () => {
    const [before, after] = [raw.toString('utf8'), redacted].map(
      (text) => JSON.parse(text) as Record<string, unknown>,
    );
    expect({ ...after, strings: 0 }).toEqual({ ...before, strings: 0 });
    expect(strings.length).toBe(stringsOf(raw.toString('utf8')).length);
  });

  test('a masked string keeps its length: an escape counts as one character, a surrogate pair as two', () => {
    const text = 'quote " slash \\ nl \n é 😀 tab\t 42';
    const masked = strings.find((each) => each.length === text.length && each.endsWith('00'));
    expect(masked).toBeDefined();
  });

  test('keeps no reference to a chunk, because a reader reuses its buffer', () => {
    const out: Uint8Array[] = [];
    const rewriter = new Rewriter(REDACTION_RULES, (piece) => out.push(new Uint8Array(piece)));
    const buffer = Buffer.alloc(100);
    for (let offset = 0; offset < raw.length; offset += buffer.length) {
      const length = raw.copy(buffer, 0, offset, offset + buffer.length);
      rewriter.write(buffer.subarray(0, length));
      buffer.fill(0);
    }
    rewriter.end();
    expect(Buffer.concat(out).toString('utf8')).toBe(redacted);
  });

  test('gives the same result for chunks of any size', () => {
    for (const chunkBytes of [1, 2, 3, 7, 64, 1000]) expect(redact(raw, chunkBytes)).toBe(redacted);
  });
});

test('objects of one shape are not dictionaries, however similar their fields are', () => {
  const heap = new HeapSnapshotBuilder();
  const root = heap.node('synthetic', '');
  for (let i = 0; i < 64; i += 1) {
    const owner = heap.node('object', 'Address');
    heap.edge(root, 'element', i, owner);
    for (let field = 0; field < 16; field += 1) {
      const name = `line${String.fromCharCode(97 + field)}`;
      heap.edge(owner, 'property', name, heap.node('string', 'street'));
    }
  }
  const strings = stringsOf(redact(heap.toBuffer()));
  expect(strings).toContain('linea');
  expect(strings).not.toContain('street');
});

test('dictionaries with the same keys are not a shape', () => {
  const heap = new HeapSnapshotBuilder();
  const root = heap.node('synthetic', '');
  for (let i = 0; i < 20; i += 1) {
    const subscribers = heap.node('object', 'Object');
    heap.edge(root, 'element', i, subscribers);
    for (let user = 0; user < 20; user += 1) {
      const name = `person${String.fromCharCode(97 + user)}`;
      heap.edge(subscribers, 'property', name, heap.node('object', 'Subscriber'));
    }
  }
  expect(redact(heap.toBuffer()).includes('persona')).toBe(false);
});

test('event names of listeners are readable up to 63 of them, and data from 64 on', () => {
  const withEvents = (count: number): string => {
    const heap = new HeapSnapshotBuilder();
    const events = heap.node('object', 'Object');
    const word = (i: number): string => String.fromCharCode(97 + (i % 26), 97 + Math.floor(i / 26));
    for (let i = 0; i < count; i += 1) {
      heap.edge(events, 'property', `join-${word(i)}`, heap.node('closure', 'onJoin'));
    }
    return redact(heap.toBuffer());
  };
  expect(withEvents(20)).toContain('join-ca');
  expect(withEvents(64)).not.toContain('join-ca');
});

test.each([
  'system / Context',
  'Node / HTTPClientAsyncResource',
  'RegExp String Iterator',
  'Async-from-Sync Iterator',
  'Iterator Helper',
  '<symbol>',
  '(concatenated string)',
  'global (global*)',
])('%s, a class of V8 or Node, stays readable', (name) => {
  expect(REDACTION_RULES.name(name, USE.given)).toBe(name);
});

test('a word of V8 stays readable, even when it looks random', () => {
  expect(REDACTION_RULES.name('system / Map (ConsOneByteString)', USE.fixed)).toContain('ConsOneByteString');
});

test.each([
  ['file:///srv/app/server.mjs?token=hunter2#hunter2', 'file:///srv/app/server.mjs'],
  ['system / Script / file:///srv/app/server.mjs?v=hunter2', 'system / Script / file:///srv/app/server.mjs'],
  ['https://user:hunter2@cdn.example/app.js?key=hunter2', 'https://masked@cdn.example/app.js'],
  ['data:text/javascript;base64,aHVudGVyMg==', 'data:masked'],
  ['data:text/javascript,export const password = "hunter2";\nexport default 1;', 'data:masked'],
  ['/srv/app/what?.js', '/srv/app/what?.js'],
])('a script named %s becomes %s', (name, readable) => {
  expect(REDACTION_RULES.name(name, USE.fixed)).toBe(readable);
});

test('a name index beyond the string table is an error and takes no memory', () => {
  const text = new HeapSnapshotBuilder().toString();
  expect(text).toContain('"strings"');
  const heap = new HeapSnapshotBuilder();
  heap.node('synthetic', '');
  const bytes = Buffer.from(heap.toString().replace(/"nodes":\[(\d+),(\d+)/, '"nodes":[$1,4000000000'));
  expect(() => redact(bytes)).toThrow(expect.objectContaining({ code: 'WSGUARD_SNAPSHOT_STRINGS' }));
});
