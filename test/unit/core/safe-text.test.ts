import { escapeControls, publicName } from '../../../src/core/safe-text.ts';

test.each([
  'price',
  'data',
  'room:lobby',
  'user:42',
  'socket.io /tenant-1 sockets',
  'EventEmitter #2',
  'connectionsByTenant2',
  'websocket-connections-v2-registry',
  '*',
])('%s stays as it is', (name) => {
  expect(publicName(name)).toBe(name);
});

test.each([
  ['inbox:alice.miller@example.com?token=eyJhbGciOiJIUzI1NiJ9.sEcReT', 'inbox:*?*'],
  ['inbox:alice%40example.com', 'inbox:*'],
  ['user:4711', 'user:*'],
  ['call:+4915112345678', 'call:+*'],
  ['room/6f9619ff-8b86-d011-b42d-00cf4fc964ff/messages', 'room/*/messages'],
  ['session 4eC39HqLyjWDarjtT1zdp7dc', 'session *'],
  ['key=value&other=x', 'key=*&other=*'],
  ['peer 203.0.113.77', 'peer *'],
  ['object 507f1f77bcf86cd799439011', 'object *'],
])('%s becomes %s', (name, expected) => {
  expect(publicName(name)).toBe(expected);
});

test('a name has no control characters and at most 128 characters', () => {
  expect(publicName('/tenant-\u001b]0;PWNED\u0007\u001b[2J\u009b31m\u202e\n')).toBe(
    '/tenant-\\u001b]0;PWNED\\u0007\\u001b[2J\\u009b31m\\u202e ',
  );
  expect(publicName('x'.repeat(5_000))).toHaveLength(128);
});

test('a long hostile name takes no time', () => {
  // Time of the CPU, which other processes do not lengthen.
  const before = process.cpuUsage();
  for (const name of ['a1'.repeat(50_000), '@'.repeat(50_000), 'a.'.repeat(50_000), '1.'.repeat(50_000)])
    publicName(name);
  expect(process.cpuUsage(before).user).toBeLessThan(500_000);
});

test('escapes of JSON stand for the same characters', () => {
  const value = { name: '\u009b31m\u001b[2J\u2028 line\nbreak\tä€😀' };
  const text = escapeControls(JSON.stringify(value));
  // oxlint-disable-next-line no-control-regex
  expect(text).not.toMatch(/[\u0080-\u009f\u001b]/);
  expect(JSON.parse(text)).toEqual(value);
  expect(escapeControls('two\nlines\tand ä€😀')).toBe('two\nlines\tand ä€😀');
});
