import {
  formatBytes,
  formatChange,
  formatCount,
  formatDuration,
  formatShare,
  formatShortSpot,
  formatSpot,
  formatTimeToLimit,
  formatValue,
} from '../../../src/core/format.ts';

test.each([
  [0, '0 B'],
  [1023, '1023 B'],
  [1536, '1.5 KiB'],
  [2_040_109_466, '1.9 GiB'],
  [300 * 1024 * 1024, '300 MiB'],
  [-2048, '-2.0 KiB'],
])('%d bytes are %s', (bytes, text) => expect(formatBytes(bytes)).toBe(text));

test.each([
  [9, '9 ms'],
  [45_000, '45 s'],
  [42 * 60_000, '42 min'],
  [6 * 3_600_000, '6 h'],
  [6.7 * 3_600_000, '6 h 42 min'],
  [30 * 3_600_000, '30 h'],
  [96 * 3_600_000, '4 days'],
])('%d ms are %s', (ms, text) => expect(formatDuration(ms)).toBe(text));

test('the range of a time to the limit is in the unit of its first number', () => {
  const format = (ms: number, lowMs: number, highMs: number | null) =>
    formatTimeToLimit({ ms, lowMs, highMs, limit: 'heap' });
  expect(format(2_520_000, 1_800_000, 3_900_000)).toBe('in about 42 min (30 to 65)');
  expect(format(45_000, 30_000, null)).toBe('in about 45 s (at least 30)');
  expect(format(6 * 3_600_000, 4.5 * 3_600_000, 9 * 3_600_000)).toBe('in about 6 h (4.5 to 9)');
  expect(format(602_000, 601_000, 605_000)).toBe('in about 10 min');
  expect(format(0, 0, 0)).toBe('now');
});

test('an evidence value is formatted by its unit', () => {
  expect(formatValue(52_428_800, 'By/h')).toBe('50.0 MiB/h');
  expect(formatValue(0.974, 'listeners per connection')).toBe('0.97 listeners per connection');
  expect(formatValue(0.87, '1')).toBe('0.87');
  expect(formatValue(2048, 'By')).toBe('2.0 KiB');
  const nouns = ['entries', 'major GCs', 'child processes', 'censuses', 'messages'];
  const one = ['1 entry', '1 major GC', '1 child process', '1 census', '1 message'];
  expect(nouns.map((noun) => formatValue(1, noun))).toEqual(one);
});

test('counts, shares, changes and source locations', () => {
  expect([formatCount(2410), formatCount(0.974), formatCount(120.4)]).toEqual(['2,410', '0.97', '120']);
  expect(formatShare(0.926)).toBe('93 %');
  expect([4_823_450, -16_384, -0.2].map(formatChange)).toEqual([
    'rose 4.6 MiB',
    'fell 16.0 KiB',
    'did not change',
  ]);
  const location = { file: 'bundle.min.js', line: 1, function: null };
  expect(formatSpot(location)).toBe('bundle.min.js:1');
  expect(formatSpot({ ...location, column: 48_211 })).toBe('bundle.min.js:1:48211');
});

test.each([
  ['/srv/app/presence/sessions.js', 'presence/sessions.js:5'],
  ['/srv/app/node_modules/@scope/hub/lib/hub.js', '@scope/hub/lib/hub.js:5'],
  ['C:\\app\\hub\\index.ts', 'hub/index.ts:5'],
  ['/server.js', 'server.js:5'],
  ['server.js', 'server.js:5'],
])('%s in a title is %s', (file, text) =>
  expect(formatShortSpot({ file, line: 5, function: null })).toBe(text),
);
