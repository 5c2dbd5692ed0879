import { culpritOf, isClear, madeBy } from '../../../src/watcher/culprit.ts';
import { analysisOf, suspectOf } from '../../support/analysis.ts';

const GROWTH = { kind: 'heap-growth', subject: 'heap' } as const;

test('the first suspect is named with its line', () => {
  const culprit = culpritOf(analysisOf(suspectOf()), GROWTH, null);
  expect(culprit).toMatchObject({ name: 'clients', file: 'server.js', line: 41, function: 'onConnection' });
  expect(culprit?.text).toContain('clients');
  expect(culprit !== null && isClear(culprit)).toBe(true);
});

test('the one that the alert is about comes before a larger one', () => {
  const both = analysisOf(suspectOf({ name: 'cache', path: ['cache'] }), suspectOf({ rank: 2 }));
  expect(culpritOf(both, { kind: 'registry-growth', subject: 'clients' }, null)?.name).toBe('clients');
});

test('a field is known by its last name: the heap says the class, the process the variable', () => {
  const members = suspectOf({ rank: 2, name: 'RoomDirectory.members', path: ['RoomDirectory', '.members'] });
  const both = analysisOf(suspectOf(), members);
  const about = { kind: 'registry-growth', subject: 'rooms.members' } as const;
  expect(culpritOf(both, about, null)?.name).toBe('RoomDirectory.members');
});

test('the type that the kind is held by comes before a larger one', () => {
  const both = analysisOf(
    suspectOf(),
    suspectOf({ rank: 2, name: "listeners of 'tick'", type: 'Listeners' }),
  );
  const about = { kind: 'listener-accumulation', subject: 'bus tick' } as const;
  expect(culpritOf(both, about, null)?.name).toBe("listeners of 'tick'");
});

test('a guess names nobody; a weak one is not clear', () => {
  expect(culpritOf(analysisOf(suspectOf({ confidence: 0.2 })), GROWTH, null)).toBeNull();
  expect(culpritOf(analysisOf(), GROWTH, null)).toBeNull();
  const weak = culpritOf(analysisOf(suspectOf({ confidence: 0.4 })), GROWTH, null);
  expect(weak !== null && isClear(weak)).toBe(false);
});

const PROFILE = {
  intervalBytes: 2_097_152,
  totalBytes: 40_000_000,
  lines: [{ file: 'server.js', line: 40, function: 'onConnection', bytes: 30_000_000, share: 0.75 }],
};

test('a line that also makes what stays makes the suspect surer', () => {
  const alone = culpritOf(analysisOf(suspectOf({ confidence: 0.7 })), GROWTH, null);
  const both = culpritOf(analysisOf(suspectOf({ confidence: 0.7 })), GROWTH, PROFILE);
  expect(both?.confidence).toBeGreaterThan(alone?.confidence ?? 1);
});

test('the profile alone names a line for what keeps data, and nobody for peers that do not answer', () => {
  expect(madeBy(PROFILE, { kind: 'heap-growth' })).toMatchObject({ file: 'server.js', line: 40 });
  expect(madeBy(PROFILE, { kind: 'zombie-connections' })).toBeNull();
  expect(madeBy(null, { kind: 'heap-growth' })).toBeNull();
});

test('what gained is the list, not its newest entry', () => {
  const path = ['hub', '.traces', '[215]'];
  const { text } = culpritOf(analysisOf(suspectOf({ type: 'Array', path })), GROWTH, null) ?? {};
  expect(text).toMatch(/^`hub\.traces` gained /);
});

test('what is left behind is weighed against the connections that opened between the snapshots', () => {
  const growth = { objects: 412, bytes: 400_000 };
  const textOf = (opened: number): string | undefined =>
    culpritOf(analysisOf(suspectOf({ growth })), GROWTH, null, opened)?.text;
  expect(textOf(412)).toContain('gained 412 objects, 1.00 for each of 412 connections opened meanwhile');
  // Too few connections to tell, or a growth that has nothing to do with them.
  for (const opened of [0, 3, 100_000]) expect(textOf(opened)).not.toContain('connections');
});
