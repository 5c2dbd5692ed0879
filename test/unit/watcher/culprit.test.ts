import { culpritOf, isClear } from '../../../src/watcher/culprit.ts';
import { analysisOf, suspectOf } from '../../support/analysis.ts';

const GROWTH = { kind: 'heap-growth', subject: 'heap' } as const;

test('the first suspect is named with its line', () => {
  const culprit = culpritOf(analysisOf(suspectOf()), GROWTH);
  expect(culprit).toMatchObject({ name: 'clients', file: 'server.js', line: 41, function: 'onConnection' });
  expect(culprit?.text).toContain('clients');
  expect(culprit !== null && isClear(culprit)).toBe(true);
});

test('the one that the alert is about comes before a larger one', () => {
  const both = analysisOf(suspectOf({ name: 'cache', path: ['cache'] }), suspectOf({ rank: 2 }));
  expect(culpritOf(both, { kind: 'registry-growth', subject: 'clients' })?.name).toBe('clients');
});

test('the type that the kind is held by comes before a larger one', () => {
  const both = analysisOf(
    suspectOf(),
    suspectOf({ rank: 2, name: "listeners of 'tick'", type: 'Listeners' }),
  );
  const about = { kind: 'listener-accumulation', subject: 'bus tick' } as const;
  expect(culpritOf(both, about)?.name).toBe("listeners of 'tick'");
});

test('a guess names nobody; a weak one is not clear', () => {
  expect(culpritOf(analysisOf(suspectOf({ confidence: 0.2 })), GROWTH)).toBeNull();
  expect(culpritOf(analysisOf(), GROWTH)).toBeNull();
  const weak = culpritOf(analysisOf(suspectOf({ confidence: 0.4 })), GROWTH);
  expect(weak !== null && isClear(weak)).toBe(false);
});
