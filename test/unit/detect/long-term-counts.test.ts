/** Leaks of which few closed connections leave anything, and healthy counts of the same size, over hours. */
import type { Sample } from '../../../src/types/index.ts';
import { answerOf, gcEvery, run, type Shape } from '../../support/run.ts';

interface Traffic {
  readonly opened: number;
  readonly closed: number;
  /** Closed connections that leave something: one of ten, by chance. */
  readonly left: number;
}

/** About 100 connections; some three open and close each minute, a different number each time. */
const traffic = ((): Traffic[] => {
  let state = 11;
  const random = (): number => (state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32) / 2 ** 32;
  let [opened, closed, left] = [100, 0, 0];
  return Array.from({ length: 1_000 }, () => {
    opened += Math.round(3 * random());
    const closing = Math.min(opened - closed, Math.round(3 * random()));
    for (let i = 0; i < closing; i += 1) if (random() < 0.1) left += 1;
    closed += closing;
    return { opened, closed, left };
  });
})();
const at = (minute: number): Traffic =>
  traffic[Math.max(0, Math.round(2 * minute))] ?? { opened: 0, closed: 0, left: 0 };

const options = { everyMs: 30_000 };

const serverWith =
  (rows: (now: Traffic, minute: number) => Partial<Sample>) =>
  (minute: number): Shape => {
    const now = at(minute);
    const { opened, closed } = now;
    return { opened, closed, connections: opened - closed, more: rows(now, minute) };
  };

const entries = (count: number): Partial<Sample> => ({
  registries: [{ name: 'profiles', entries: Math.round(count), areConnections: false, source: 'found' }],
});

test('one closed connection in ten leaves a timer: found within hours', () => {
  const { opened } = run(
    330,
    serverWith(({ left }) => ({ resources: { timer: 5 + left } })),
    options,
  );
  expect(opened).toEqual(['resource-growth']);
});

test.each<[string, (now: Traffic, minute: number) => Partial<Sample>]>([
  ['an entry for each of 300 users', ({ opened }) => entries(300 * (1 - Math.exp(-opened / 300)))],
  ['an entry for each of 120 users', ({ opened }) => entries(120 * (1 - Math.exp(-opened / 120)))],
  ['a cache that is full with 150 entries', ({ opened }) => entries(Math.min(opened, 150))],
  [
    'sessions that a tenth of the users keeps for two hours',
    ({ opened, closed, left }, minute) => entries(opened - closed + left - at(minute - 120).left),
  ],
  [
    'a pool that grows to the highest number of connections',
    (_, minute) => ({
      resources: {
        outgoing_socket: Math.max(
          ...Array.from({ length: Math.floor(minute) + 1 }, (__, m) => at(m).opened - at(m).closed),
        ),
      },
    }),
  ],
])('%s: no alert in five hours', (_case, rows) => {
  expect(run(300, serverWith(rows), options).opened).toEqual([]);
});

const KEPT = 250;
const keepsClosed = serverWith(({ opened, closed }) => {
  const kept = Math.min(closed, KEPT);
  return {
    registries: [{ name: 'sessions', entries: opened - closed + kept, source: 'found' }],
    queues: [{ name: 'order', items: kept, oldestAgeMs: null, isTaken: false, source: 'found' }],
  };
});

test('a registry of the last closed sessions, with a list of them: no alert, and the reason', () => {
  const { opened, ...last } = run(60, keepsClosed, options);
  expect(opened).toEqual([]);
  expect(answerOf({ opened, ...last }, 'registries')).toMatchObject({
    answer: 'inconclusive',
    because: expect.stringContaining("the list 'order' has one item for each of them") as string,
    missing: 'memory that grows too',
  });
  expect(run(300, keepsClosed, options).opened).toEqual([]);
});

test('the closed connections that it retains wait for the limit too', () => {
  const retaining = gcEvery(
    10,
    () => 45,
    (minute) => ({ ...keepsClosed(minute), retained: Math.min(at(minute - 10).closed, KEPT) }),
  );
  const { opened, ...last } = run(90, retaining, options);
  expect(opened).toEqual([]);
  expect(answerOf({ opened, ...last }, 'retained')).toMatchObject({
    answer: 'inconclusive',
    because: expect.stringContaining("the registry 'sessions' keeps as many") as string,
  });
});

test('when memory grows too, the limit explains nothing', () => {
  const growing = gcEvery(5, (minute) => 45 + 2 * minute, keepsClosed);
  expect(run(100, growing, options).transitions.at(-1)?.kind).toBe('registry-growth');
});
