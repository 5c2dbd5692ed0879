/** Collections in whose entries no connection was seen: sessions, rate limiters, caches. Only the rate tells them apart. */
import type { RegistryReading } from '../../../src/types/index.ts';
import { answerOf, gcEvery, run, type Shape } from '../../support/run.ts';

interface Traffic {
  readonly opened: number;
  readonly closed: number;
}

/** About 100 connections; some twenty open and close each minute, a different number each time. */
const traffic = ((): Traffic[] => {
  let state = 5;
  const random = (): number => (state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32) / 2 ** 32;
  let [opened, closed] = [100, 0];
  return Array.from({ length: 1_000 }, () => {
    opened += Math.round(20 * random());
    closed += Math.min(opened - closed, Math.round(20 * random()));
    return { opened, closed };
  });
})();
const at = (minute: number): Traffic =>
  traffic[Math.max(0, Math.round(2 * minute))] ?? { opened: 0, closed: 0 };

/** A sample for each row of the window. */
const options = { everyMs: 30_000 };

type Count = (now: Traffic, minute: number) => number;

const serverWith =
  (count: Count, more: Partial<RegistryReading> = {}) =>
  (minute: number): Shape => {
    const now = at(minute);
    const entries = Math.round(count(now, minute));
    const row = { name: 'sessions', entries, areConnections: false, source: 'found', ...more } as const;
    return { ...now, connections: now.opened - now.closed, more: { registries: [row] } };
  };

const everyConnectionLeaks: Count = ({ opened }) => opened;

test('every closed connection leaves an entry: an alert after the time that sessions have, with the rate', () => {
  const { transitions } = run(100, serverWith(everyConnectionLeaks), options);
  const [alert] = transitions;
  expect(alert?.kind).toBe('registry-growth');
  expect(alert?.minute).toBeGreaterThan(65);
  expect(alert?.minute).toBeLessThan(80);
  expect(alert?.title).toMatch(/each opened connection adds 1\.00, each closed one removes 0\.00$/);
});

test('three entries a connection, of which one stays', () => {
  const { opened } = run(
    100,
    serverWith(({ opened: all, closed }) => 3 * (all - closed) + closed),
    options,
  );
  expect(opened).toEqual(['registry-growth']);
});

test.each<[string, Count]>([
  [
    'sessions of 30 min that a sweep removes every 10 min',
    ({ opened }, minute) => opened - at(Math.floor((minute - 30) / 10) * 10).closed,
  ],
  ['sessions of 30 min', ({ opened }, minute) => opened - (minute < 30 ? 0 : at(minute - 30).closed)],
  ['an entry for each of 2,000 users', ({ opened }) => 2_000 * (1 - Math.exp(-opened / 2_000))],
  ['a cache that is full with 400 entries', ({ opened }) => Math.min(opened, 400)],
  ['an entry for each open connection', ({ opened, closed }) => opened - closed],
  [
    'a rate limit that starts again each hour',
    ({ opened }, minute) => opened - at(Math.floor(minute / 60) * 60).opened,
  ],
])('%s: no alert', (_case, count) => {
  expect(run(400, serverWith(count), options).opened).toEqual([]);
});

test('a visible limit, or entries that have yet to expire: no alert, and the reason', () => {
  const bounded = run(240, serverWith(everyConnectionLeaks, { isBounded: true }), options);
  expect(bounded.opened).toEqual([]);
  expect(answerOf(bounded, 'registries')).toMatchObject({
    answer: 'inconclusive',
    because: expect.stringContaining('has yet to expire') as string,
    missing: 'memory that grows too',
  });
});

test('a part of the connections leaves an entry, the others remove theirs: an alert when no session lasts so long', () => {
  const partly: Count = ({ opened, closed }) => opened - closed + Math.floor(closed / 3);
  const { transitions } = run(150, serverWith(partly), options);
  expect(transitions[0]).toMatchObject({ event: 'opened', kind: 'registry-growth' });
  expect(transitions[0]?.minute).toBeGreaterThan(100);
});

test('a part of the connections leaves a session for an hour, the others remove theirs: no alert', () => {
  const mixed: Count = ({ opened, closed }, minute) =>
    opened - closed + Math.floor(closed / 3) - (minute < 60 ? 0 : Math.floor(at(minute - 60).closed / 3));
  expect(run(300, serverWith(mixed), options).opened).toEqual([]);
});

test('a part of the connections leaves an entry: an alert when memory grows too', () => {
  const partly: Count = ({ opened, closed }) => opened - closed + Math.floor(closed / 3);
  const shape = serverWith(partly);
  const growing = run(
    150,
    gcEvery(5, (minute) => 45 + 2 * minute, shape),
    options,
  );
  // Memory shows first, and the registry gives the alert its name.
  expect(growing.opened).toHaveLength(1);
  expect(growing.transitions.at(-1)?.kind).toBe('registry-growth');
});

test.each([20, 45, 60])(
  'sessions that keep their closed connection, and that a timer ends after %i min: no alert',
  (minutes) => {
    const kept: Count = (_, minute) =>
      at(minute).opened - (minute < minutes ? 0 : at(minute - minutes).closed);
    const shape = (minute: number): Shape => {
      const now = at(minute);
      const entries = kept(now, minute);
      const timeout = 5 + entries - (now.opened - now.closed);
      return {
        ...now,
        connections: now.opened - now.closed,
        uncollected: timeout - 5,
        more: {
          registries: [{ name: 'sessions', entries, source: 'found' }],
          resources: { timer: 5, timeout },
        },
      };
    };
    expect(
      run(
        150,
        gcEvery(10, () => 45, shape),
        options,
      ).opened,
    ).toEqual([]);
  },
);

describe('a registry in whose entries the agent saw connections', () => {
  const openedWith = (count: Count): readonly string[] =>
    run(150, serverWith(count, { areConnections: true }), options).opened;

  /** Each connection has one to six entries. A part of the closed ones leaves one of them. */
  const severalEntries = (leakedPart: number): Count => {
    let state = 7;
    const random = (): number => (state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32) / 2 ** 32;
    const [added, left] = [[0], [0]];
    for (let connection = 0; connection < 20_000; connection += 1) {
      added.push(added[connection]! + 1 + Math.floor(6 * random()));
      left.push(left[connection]! + (random() < leakedPart ? 1 : 0));
    }
    return ({ opened, closed }) => added[opened]! - added[closed]! + left[closed]!;
  };

  test('one to six entries for each connection, which closed ones remove: no alert', () => {
    expect(openedWith(severalEntries(0))).toEqual([]);
  });

  test('one to six entries for each connection, of which some leave one: an hour makes it certain', () => {
    const [alert] = run(150, serverWith(severalEntries(0.5), { areConnections: true }), options).transitions;
    expect(alert?.kind).toBe('registry-growth');
    expect(alert?.minute).toBeLessThan(70);
  });

  test('work that waits, as more comes by day than is done: no alert', () => {
    expect(openedWith((_, minute) => 5 + 8000 * (1 - Math.cos((Math.PI * minute) / 70)))).toEqual([]);
  });

  test('work that waits, though each closed connection leaves one job: no alert while the oldest are removed', () => {
    const jobs: Count = ({ opened }) => opened;
    const opened = (isWorkedOff: boolean): readonly string[] =>
      run(150, serverWith(jobs, { areConnections: true, isWorkedOff }), options).opened;
    expect(opened(true)).toEqual([]);
    expect(opened(false)).toEqual(['registry-growth']);
  });

  test.each([1, 3])('%i entries that each closed connection leaves: an alert', (each) => {
    expect(openedWith(({ opened, closed }) => opened + (each - 1) * closed)).toEqual(['registry-growth']);
  });
});

describe('connections that are replaced at once, at an even pace', () => {
  const openedWith = (entriesAt: (halfMinute: number) => number): readonly string[] =>
    run(
      120,
      (minute) => {
        const row = Math.round(2 * minute);
        const registry = { name: 'service.jobs', entries: entriesAt(row), source: 'found' } as const;
        return { opened: 60 + 2 * row, closed: 2 * row, connections: 60, more: { registries: [registry] } };
      },
      options,
    ).opened;
  /** Jobs of a live server, from one half minute to the next; 36 a minute beyond what is done. */
  const JOBS = [
    28, 14, 18, 18, 17, 18, 17, 18, 18, 13, 18, 18, 17, 18, 17, 18, 19, 18, 17, 18, 20, 15, 18, 18,
  ];

  test('work that waits: no alert, also while nine jobs come for each closed connection', () => {
    const total = (row: number): number =>
      Array.from({ length: row }, (_, i) => JOBS[i % JOBS.length] ?? 0).reduce((sum, each) => sum + each, 0);
    expect(openedWith(total)).toEqual([]);
  });

  test('two entries that each closed connection leaves, in a registry that varies: an alert', () => {
    expect(openedWith((row) => 60 + 4 * row + ((row * row) % 5))).toEqual(['registry-growth']);
    expect(openedWith((row) => 60 + Math.round(4.2 * row) + ((row * row) % 5))).toEqual(['registry-growth']);
  });

  test.each([1, 3, 8])('%i entries that each closed connection leaves: an alert', (each) => {
    expect(openedWith((row) => 60 + 2 * row * each)).toEqual(['registry-growth']);
    expect(openedWith((row) => each * (60 + 2 * row))).toEqual(['registry-growth']);
  });
});
