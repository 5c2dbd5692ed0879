import type { Analysis, Suspect } from '../../../src/types.ts';
import { culpritOf, isClear } from '../../../src/watcher/culprit.ts';

const suspect = (more: Partial<Suspect>): Suspect => ({
  rank: 1,
  name: 'sessions',
  type: 'Map',
  path: ['sessions'],
  location: { file: 'server.js', line: 7, function: 'main', package: null },
  objects: 900,
  retainedBytes: 1_000_000,
  growth: { objects: 300, bytes: 400_000 },
  confidence: 0.8,
  ...more,
});
const analysis = (...suspects: Suspect[]): Analysis => ({
  schema: 'wsguard.analysis/1',
  snapshots: [],
  suspects,
  clean: false,
});

test('the first suspect, said as a sentence', () => {
  const culprit = culpritOf(analysis(suspect({})), { kind: 'heap-growth', subject: 'heap' });
  expect(culprit).toEqual({
    text: 'sessions, a Map in server.js:7, 300 more objects between the snapshots',
    name: 'sessions',
    file: 'server.js',
    line: 7,
    function: 'main',
    package: null,
    confidence: 0.8,
  });
});

test('the one that the alert is about comes before a larger one', () => {
  const both = analysis(suspect({ name: 'cache' }), suspect({ rank: 2, name: 'clients', path: ['clients'] }));
  expect(culpritOf(both, { kind: 'registry-growth', subject: 'clients' })?.name).toBe('clients');
});

test('the type that the kind is held by comes before a larger one', () => {
  const both = analysis(suspect({}), suspect({ rank: 2, name: "listeners of 'tick'", type: 'Listeners' }));
  const about = { kind: 'listener-accumulation', subject: 'bus tick' } as const;
  expect(culpritOf(both, about)?.name).toBe("listeners of 'tick'");
});

test('a guess names nobody; a weak one is not clear', () => {
  const about = { kind: 'heap-growth', subject: 'heap' } as const;
  expect(culpritOf(analysis(suspect({ confidence: 0.2 })), about)).toBeNull();
  expect(culpritOf(analysis(), about)).toBeNull();
  const weak = culpritOf(analysis(suspect({ confidence: 0.4 })), about);
  expect(weak !== null && isClear(weak)).toBe(false);
});
