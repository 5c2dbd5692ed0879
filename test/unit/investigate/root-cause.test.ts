import { chooseRootCause, isClear } from '../../../src/investigate/root-cause.ts';
import type { AllocationProfile, Analysis, Culprit, Suspect } from '../../../src/types/index.ts';
import { analysisWith, clientsSuspect } from '../../support/analyses.ts';

const GROWTH = { kind: 'heap-growth', subject: 'heap' } as const;

interface Given {
  readonly analysis?: Analysis | null;
  readonly profile?: AllocationProfile | null;
  readonly connectionsOpened?: number;
}
const choose = (alert: Parameters<typeof chooseRootCause>[0], given: Given): Culprit | null =>
  chooseRootCause(alert, { analysis: null, profile: null, connectionsOpened: 0, ...given });

/** One line of the application with this share of the live allocations. */
const profileOf = (share: number, over: Partial<AllocationProfile['lines'][0]> = {}): AllocationProfile => ({
  intervalBytes: 1,
  totalBytes: 1000,
  isGrowth: true,
  lines: [
    { file: '/srv/app/server.js', line: 30, function: 'onMessage', bytes: share * 1000, share, ...over },
  ],
});
/** The growth of a queue in the same function. */
const QUEUE: Suspect = clientsSuspect({
  name: 'pending',
  path: ['queue', '.pending'],
  location: { file: 'app/server.js', line: 33, function: 'onMessage' },
  growth: { objects: 400, bytes: 1 },
  confidence: 0.8,
});

test('names the first suspect with its line', () => {
  const culprit = choose(GROWTH, { analysis: analysisWith(clientsSuspect()) });
  expect(culprit).toMatchObject({ name: 'clients', file: 'server.js', line: 41, function: 'onConnection' });
  expect(culprit?.text).toBe('`clients` gained 300 objects, added at onConnection (server.js:41)');
  expect(culprit !== null && isClear(culprit)).toBe(true);
});

test('prefers the suspect that the alert is about to a larger one', () => {
  const analysis = analysisWith(
    clientsSuspect({ name: 'cache', path: ['cache'] }),
    clientsSuspect({ rank: 2 }),
  );
  expect(choose({ kind: 'registry-growth', subject: 'clients' }, { analysis })?.name).toBe('clients');
});

test('matches a field by its last name: the heap has the class, the process the variable', () => {
  const members = clientsSuspect({
    rank: 2,
    name: 'RoomDirectory.members',
    path: ['RoomDirectory', '.members'],
  });
  const analysis = analysisWith(clientsSuspect(), members);
  const about = { kind: 'registry-growth', subject: 'rooms.members' } as const;
  expect(choose(about, { analysis })?.name).toBe('RoomDirectory.members');
});

test('prefers the usual type of container of the kind to a larger suspect', () => {
  const listeners = clientsSuspect({ rank: 2, name: "listeners of 'tick'", type: 'Listeners' });
  const about = { kind: 'listener-accumulation', subject: 'bus tick' } as const;
  expect(choose(about, { analysis: analysisWith(clientsSuspect(), listeners) })?.name).toBe(
    "listeners of 'tick'",
  );
});

test('text that grew is not what retains closed connections', () => {
  const text = clientsSuspect({ name: 'documents.get(…).text', type: 'Strings', confidence: 0.9 });
  const analysis = analysisWith(text);
  expect(choose({ kind: 'retained-after-close', subject: 'closed connections' }, { analysis })).toBeNull();
  expect(choose(GROWTH, { analysis })?.name).toBe('documents.get(…).text');
});

test('does not name a guess; a weak suspect is not clear', () => {
  expect(choose(GROWTH, { analysis: analysisWith(clientsSuspect({ confidence: 0.2 })) })).toBeNull();
  expect(choose(GROWTH, { analysis: analysisWith() })).toBeNull();
  expect(choose(GROWTH, {})).toBeNull();
  const weak = choose(GROWTH, { analysis: analysisWith(clientsSuspect({ confidence: 0.4 })) });
  expect(weak !== null && isClear(weak)).toBe(false);
});

test('names the list that gained entries, not its newest entry', () => {
  const path = ['hub', '.traces', '[215]'];
  const culprit = choose(GROWTH, { analysis: analysisWith(clientsSuspect({ type: 'Array', path })) });
  expect(culprit?.text).toMatch(/^`hub\.traces` gained /);
});

test('says what a container of a single snapshot retains', () => {
  const culprit = choose(GROWTH, { analysis: analysisWith(clientsSuspect({ growth: null, path: [] })) });
  expect(culprit?.text).toBe('`clients` retains 1200 objects, added at onConnection (server.js:41)');
});

test('compares the growth with the connections that opened between the snapshots', () => {
  const analysis = analysisWith(clientsSuspect({ growth: { objects: 412, bytes: 400_000 } }));
  const textOf = (connectionsOpened: number): string | undefined =>
    choose(GROWTH, { analysis, connectionsOpened })?.text;
  expect(textOf(412)).toContain('gained 412 objects, 1.00 for each of 412 connections opened meanwhile');
  // Too few connections for a rate, or a growth that has nothing to do with them.
  for (const opened of [0, 3, 100_000]) expect(textOf(opened)).not.toContain('connections');
});

describe('with an allocation profile', () => {
  test('a suspect and a line that agree are surer together', () => {
    const culprit = choose(GROWTH, { analysis: analysisWith(QUEUE), profile: profileOf(0.7) });
    expect(culprit).toMatchObject({ name: 'pending', file: 'app/server.js', line: 33 });
    expect(culprit?.confidence).toBeCloseTo(1 - 0.2 * 0.65);
    expect(culprit?.text).toBe('`queue.pending` gained 400 objects, added at onMessage (app/server.js:33)');
  });

  test('a line below the first line of the function agrees too, one far below does not', () => {
    const near = profileOf(0.7, { function: 'outer', line: 1 });
    const far = profileOf(0.7, { function: 'outer', line: 34 });
    const confidenceWith = (profile: AllocationProfile): number =>
      choose(GROWTH, { analysis: analysisWith(QUEUE), profile })?.confidence ?? 0;
    expect(confidenceWith(near)).toBeGreaterThan(0.8);
    expect(confidenceWith(far)).toBe(0.8);
  });

  test('a line elsewhere does not make the suspect less sure', () => {
    const profile = profileOf(0.7, { file: '/srv/app/other.js' });
    expect(choose(GROWTH, { analysis: analysisWith(QUEUE), profile })).toMatchObject({
      file: 'app/server.js',
      confidence: 0.8,
    });
  });

  test('a suspect without a location gets the line that allocates its entries', () => {
    const analysis = analysisWith({ ...QUEUE, location: null });
    const culprit = choose(GROWTH, { analysis, profile: profileOf(0.5, { function: null }) });
    expect(culprit).toMatchObject({ name: 'pending', file: '/srv/app/server.js', line: 30 });
    expect(culprit?.confidence).toBeCloseTo(0.6);
    expect(culprit?.text).toBe(
      '`queue.pending` gained 400 objects; most of what grew is allocated at /srv/app/server.js:30',
    );
  });

  test('alone it names a line for kinds that keep data, with a confidence of at most 0.6', () => {
    expect(choose(GROWTH, { profile: profileOf(0.95) })).toMatchObject({
      function: 'onMessage',
      confidence: 0.6,
      text: '95 % of what grew between two readings of the allocation profile is allocated at onMessage (/srv/app/server.js:30)',
    });
    expect(
      choose({ kind: 'zombie-connections', subject: 'websocket' }, { profile: profileOf(0.95) }),
    ).toBeNull();
  });

  test('a line with a small share and a line of a package name nothing', () => {
    expect(choose(GROWTH, { profile: profileOf(0.2) })).toBeNull();
    const inPackage = profileOf(0.9, { file: '/srv/app/node_modules/ws/lib/websocket.js' });
    expect(choose(GROWTH, { profile: inPackage })).toBeNull();
  });
});

describe('the way from the application to what grows', () => {
  const fromEvent = {
    file: '/srv/app/node_modules/rxjs/fromEvent.js',
    line: 54,
    function: 'handler',
    package: 'rxjs@7.8.2',
  };

  test('the text and the JSON give the code of the package between them', () => {
    const suspect = clientsSuspect({ through: fromEvent });
    const culprit = choose(GROWTH, { analysis: analysisWith(suspect) });
    expect(culprit?.text).toBe(
      '`clients` gained 300 objects, added at onConnection (server.js:41), through rxjs@7.8.2 fromEvent.js:54',
    );
    expect(culprit).toMatchObject({ file: 'server.js', line: 41, package: null, through: fromEvent });
  });

  test('a line of Node is given with its module', () => {
    const through = { file: 'node:events', line: 1157, function: null, package: null };
    const culprit = choose(GROWTH, { analysis: analysisWith(clientsSuspect({ through })) });
    expect(culprit?.text).toMatch(/, through node:events:1157$/);
  });

  test('a suspect in a package takes the line of the application whose allocations grew', () => {
    const inPackage = clientsSuspect({ location: fromEvent });
    const culprit = choose(GROWTH, { analysis: analysisWith(inPackage), profile: profileOf(0.8) });
    expect(culprit).toMatchObject({
      file: '/srv/app/server.js',
      line: 30,
      package: null,
      through: fromEvent,
    });
  });

  test('a profile with one reading accuses nobody', () => {
    const profile = { ...profileOf(0.9), isGrowth: false };
    expect(choose(GROWTH, { profile })).toBeNull();
    const analysis = analysisWith({ ...QUEUE, location: null });
    expect(choose(GROWTH, { analysis, profile })?.file).toBeNull();
  });

  test('a growth of one or two samples is noise', () => {
    const profile = { ...profileOf(0.9), intervalBytes: 500 };
    expect(choose(GROWTH, { profile })).toBeNull();
  });
});

test('an alert about connections names what gained one entry for each of them, not what has most bytes', () => {
  const messages = clientsSuspect({ name: 'log', path: ['log'], growth: { objects: 9000, bytes: 9e6 } });
  const sockets = clientsSuspect({
    rank: 2,
    name: 'all',
    path: ['all'],
    growth: { objects: 410, bytes: 4e5 },
  });
  const given = { analysis: analysisWith(messages, sockets), connectionsOpened: 400 };
  expect(choose({ kind: 'retained-after-close', subject: 'websocket' }, given)?.name).toBe('all');
  expect(choose(GROWTH, given)?.name).toBe('log');
});
