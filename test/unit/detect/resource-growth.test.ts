import { eachConnectionAddsTheSame } from '../../../src/detect/resource-growth.ts';
import type { ResourceCounts } from '../../../src/types/index.ts';
import { answerOf, gcEvery, run, type Shape } from '../../support/run.ts';

interface Traffic {
  readonly connections: number;
  readonly opened: number;
  readonly closed: number;
}

function createRandom(seed: number): () => number {
  let state = seed;
  return () => (state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32) / 2 ** 32;
}

/**
 * Half a minute per row. `level` is the number of connections that the server moves towards; 6 % of the connections close
 * in a minute, with the variation of a real server.
 */
function trafficOf(minutes: number, level: (minute: number) => number, seed: number): Traffic[] {
  const random = createRandom(seed);
  const around = (mean: number): number => Math.round(mean * (0.4 + 1.2 * random()));
  let opened = Math.round(level(0));
  let closed = 0;
  return Array.from({ length: 2 * minutes + 2 }, (_, row) => {
    const connections = opened - closed;
    closed += Math.min(connections, around(0.03 * connections));
    opened += Math.max(0, around(level(row / 2) - (opened - closed)));
    return { connections: opened - closed, opened, closed };
  });
}

const at = (traffic: readonly Traffic[], minute: number): Traffic =>
  traffic[Math.max(0, Math.round(2 * minute))] ?? { connections: 0, opened: 0, closed: 0 };

type Counts = (now: Traffic, minute: number) => ResourceCounts;
const shapeOf =
  (traffic: readonly Traffic[], counts: Counts) =>
  (minute: number): Shape => {
    const now = at(traffic, minute);
    return { ...now, more: { resources: counts(now, minute) } };
  };

const MINUTES = 150;
const ROW_MS = 30_000;
const STEADY = (): number => 200;
const RAMP = (minute: number): number => 30 + 8 * minute;
const WAVES = (minute: number): number => 300 + 250 * Math.sin(minute / 25);
const STORMS = (minute: number): number => (minute % 40 < 3 ? 20 : 400);

const LOADS = Object.entries({ steady: STEADY, ramp: RAMP, waves: WAVES, storms: STORMS });

describe.each(LOADS)('under a load of kind %s', (_, level) => {
  const traffic = trafficOf(MINUTES, level, 1);
  const openedWith = (counts: Counts): readonly string[] =>
    run(MINUTES, shapeOf(traffic, counts), { everyMs: ROW_MS }).opened;

  test.each([1, 3])('%i timers and descriptors per connection: no alert', (each) => {
    const counts: Counts = ({ connections }) => ({
      timer: 5 + each * connections,
      descriptor: 30 + each * connections,
    });
    expect(openedWith(counts)).toEqual([]);
  });

  test.each([0.5, 25])('timers that are cleared %f min after the close: no alert', (lateMin) => {
    const counts: Counts = ({ opened }, minute) => ({
      timer: 5 + opened - (minute < lateMin ? 0 : at(traffic, minute - lateMin).closed),
    });
    expect(openedWith(counts)).toEqual([]);
  });

  test('a pool of sockets that grows with the connections and stays: no alert', () => {
    let pool = 0;
    const counts: Counts = ({ connections }) => {
      pool = Math.max(pool, Math.ceil(connections / 4));
      return { outgoing_socket: pool, descriptor: 30 + pool };
    };
    expect(openedWith(counts)).toEqual([]);
  });

  test('a pool of the requests in flight, whose sockets stay: no alert', () => {
    const random = createRandom(7);
    let pool = 0;
    const counts: Counts = ({ connections }) => {
      pool = Math.max(pool, Math.round(connections * 0.1 * (random() + random())));
      return { outgoing_socket: pool, descriptor: 30 + pool };
    };
    expect(openedWith(counts)).toEqual([]);
  });

  test('one connection in ten leaks a timer: an alert with the rate', () => {
    const counts: Counts = ({ connections, closed }) => ({
      timer: 5 + connections + Math.floor(closed / 10),
    });
    const { transitions } = run(MINUTES, shapeOf(traffic, counts), { everyMs: ROW_MS });
    expect(transitions[0]).toMatchObject({ kind: 'resource-growth', subject: 'timer' });
    const rates = transitions.flatMap(({ evidence }) =>
      evidence.filter(({ name }) => name === 'leaked_per_closed_connection').map(({ value }) => value),
    );
    // An alert opens at 6 standard errors, so a third is two standard errors.
    expect(Math.min(...rates)).toBeGreaterThan(0.1 - 0.1 / 3);
    expect(Math.max(...rates)).toBeLessThan(0.1 + 0.1 / 3);
  });
});

describe('an interval for each connection', () => {
  const traffic = trafficOf(60, STEADY, 5);
  const counts: Counts = ({ opened, closed }) => ({ timer: 4 + opened - Math.floor(closed / 8) });

  test('the sentence of the alert and its evidence', () => {
    const { transitions } = run(60, shapeOf(traffic, counts));
    const [alert] = transitions;
    expect(alert).toMatchObject({ kind: 'resource-growth', family: 'leak', subject: 'timer' });
    expect(alert?.title).toMatch(
      /^\d+ timers for \d+ connections: each opened connection adds (?:0\.9|1\.0)\d timers, each closed one removes 0\.[01]\d$/,
    );
    expect(alert?.evidence.map(({ name }) => name)).toEqual(
      expect.arrayContaining([
        'wsguard_active_resources',
        'added_per_opened',
        'removed_per_closed',
        'leaked_in_window',
      ]),
    );
  });

  test('is certain sooner when the closed connections stay in memory', () => {
    const retaining = gcEvery(
      4,
      () => 40,
      (minute) => ({ ...shapeOf(traffic, counts)(minute), uncollected: at(traffic, minute).closed }),
    );
    const minuteOf = (shape: (minute: number) => Shape): number =>
      run(60, shape).transitions.find(({ kind }) => kind === 'resource-growth')?.minute ?? Infinity;
    expect(minuteOf(retaining)).toBeLessThan(minuteOf(shapeOf(traffic, counts)) - 5);
  });
});

test('a child process for each connection: its pipes and descriptors are evidence, not alerts', () => {
  const traffic = trafficOf(90, STEADY, 6);
  const { transitions, opened } = run(
    90,
    shapeOf(traffic, ({ opened: count }) => ({
      child_process: count,
      pipe: 2 * count,
      descriptor: 30 + 2 * count,
    })),
  );
  expect(opened).toEqual(['resource-growth']);
  expect(transitions[0]?.subject).toBe('child_process');
  expect(transitions[0]?.evidence.map(({ name }) => name)).toEqual(
    expect.arrayContaining(['wsguard_active_resources_pipe', 'wsguard_active_resources_descriptor']),
  );
});

test('descriptors that nothing else explains are named by their class', () => {
  const traffic = trafficOf(60, STEADY, 8);
  const { transitions } = run(
    60,
    shapeOf(traffic, ({ opened }) => ({
      descriptor: 30 + opened,
      descriptor_file: 3 + opened,
      descriptor_socket: 5,
    })),
  );
  expect(transitions[0]).toMatchObject({ kind: 'resource-growth', subject: 'descriptor' });
  expect(transitions[0]?.title).toMatch(/^\d[\d,]* descriptors \(most of them files\) for \d+ connections: /);
  expect(transitions[0]?.evidence).toContainEqual({
    name: 'wsguard_active_resources_descriptor_socket',
    value: 5,
    unit: 'sockets',
  });
});

describe('sockets that Node does not list, one for each closed connection', () => {
  const traffic = trafficOf(90, STEADY, 8);
  const withListed =
    (listed: (count: number) => number): Counts =>
    ({ opened }) => ({
      descriptor: 30 + opened,
      descriptor_socket: 5 + opened,
      outgoing_socket: listed(opened),
    });

  test('are idle sockets of a pool: no alert, and the doubt', () => {
    const result = run(
      90,
      shapeOf(
        traffic,
        withListed(() => 4),
      ),
    );
    expect(result.opened).toEqual([]);
    expect(answerOf(result, 'resources')).toMatchObject({
      answer: 'inconclusive',
      because: expect.stringContaining('idle sockets') as string,
    });
  });

  test('are a leak when Node lists them', () => {
    const { opened } = run(
      90,
      shapeOf(
        traffic,
        withListed((count) => count),
      ),
    );
    expect(opened).toEqual(['resource-growth']);
  });
});

describe('the same whole number of resources for each opened connection', () => {
  /** A row a minute, in which `perMinute` connections open. */
  const isWholeNumber = (countAt: (opened: number) => number, perMinute = 4, minutes = 45): boolean => {
    const times = Float64Array.from({ length: minutes + 1 }, (_, minute) => 60_000 * minute);
    const openedTotal = times.map((_, minute) => 100 + perMinute * minute);
    const window = {
      rowAt: () => 0,
      times: () => times,
      column: (name: string) => (name === 'openedTotal' ? openedTotal : openedTotal.map(countAt)),
    };
    const history = { window, nowMs: 60_000 * minutes };
    return eachConnectionAddsTheSame('timer', { history } as never);
  };

  test.each([1, 2, 3])('%i for each', (each) => {
    expect(isWholeNumber((opened) => 5 + each * opened)).toBe(true);
  });

  test('the count is read a moment before the connections, and is missing in some rows', () => {
    const random = createRandom(5);
    const late = (opened: number): number => opened - Math.round(2 * random());
    expect(isWholeNumber((opened) => (random() < 0.2 ? Number.NaN : late(opened)))).toBe(true);
  });

  test.each([0, 0.2, 0.7, 1.3, 1.5])('%f for each are none', (each) => {
    expect(isWholeNumber((opened) => 5 + Math.round(each * opened))).toBe(false);
  });

  test('resources that end half an hour after their connection are none, and nothing is certain before', () => {
    expect(isWholeNumber((opened) => Math.min(opened, 100 + 4 * 33))).toBe(false);
    expect(isWholeNumber((opened) => opened, 4, 40)).toBe(false);
  });

  test('a step is none, and so are few connections', () => {
    expect(isWholeNumber((opened) => (opened < 160 ? 10 : 130))).toBe(false);
    expect(isWholeNumber((opened) => 5 + opened, 1)).toBe(false);
  });

  test('without counts there are none', () => {
    expect(isWholeNumber(() => Number.NaN)).toBe(false);
  });
});

test('timers that start when a connection closes are said to be added then', () => {
  const traffic = trafficOf(60, STEADY, 11);
  const { transitions } = run(
    60,
    shapeOf(traffic, ({ closed }) => ({ timer: 5 + closed })),
  );
  expect(transitions[0]?.title).toMatch(
    /each opened connection adds 0\.0\d timers, each closed one adds (?:0\.9|1\.0)\d$/,
  );
});

describe('growth that connections do not cause', () => {
  const traffic = trafficOf(240, STEADY, 9);
  const pool =
    (perMinute: number, max: number): Counts =>
    (_, minute) => ({ outgoing_socket: Math.min(max, 10 + Math.floor(perMinute * minute)) });

  test('a pool that grows with the messages up to its bound: no alert, and the doubt', () => {
    const result = run(120, shapeOf(traffic, pool(2, 150)));
    expect(result.opened).toEqual([]);
    expect(answerOf(run(45, shapeOf(traffic, pool(2, 150))), 'resources')).toMatchObject({
      answer: 'inconclusive',
      missing: 'memory that grows too',
    });
  });

  test('500 more within the window: an alert', () => {
    expect(run(60, shapeOf(traffic, pool(40, 1e6))).opened).toEqual(['resource-growth']);
  });

  test('a timer for each job, cleared when the job ends: no alert while the jobs vary', () => {
    const random = createRandom(3);
    const jobs: Counts = () => ({ timer: 5 + Math.round(200 * (random() + random())) });
    expect(run(240, shapeOf(traffic, jobs)).opened).toEqual([]);
  });
});

test('samples of older agents have no resources', () => {
  expect(
    answerOf(
      run(30, () => ({})),
      'resources',
    ),
  ).toMatchObject({
    answer: 'inconclusive',
    missing: 'resources',
  });
});

/** Timers that each request starts anew, and that end its session 30 min after the last one. */
const sessionsOf =
  (requestsPerMinute: (minute: number) => number): Counts =>
  ({ connections }, minute) => {
    let sessions = 0;
    for (let ago = 0; ago < Math.min(30, minute); ago += 0.5) sessions += requestsPerMinute(minute - ago) / 2;
    const timeout = Math.round(sessions);
    return { timer: 5 + connections + timeout, timeout };
  };

test.each([
  ['from the start of the process', () => 25],
  ['under waves of requests', (minute: number) => 25 + 20 * Math.sin(minute / 14)],
  ['while requests become more', (minute: number) => 10 + minute / 2],
])('timers that end the sessions of requests, %s: no alert', (_, requestsPerMinute) => {
  for (const [, level] of LOADS) {
    const traffic = trafficOf(MINUTES, level, 9);
    const shape = shapeOf(traffic, sessionsOf(requestsPerMinute));
    expect(run(MINUTES, shape, { everyMs: ROW_MS }).opened).toEqual([]);
  }
});

test('timers that fire once and start again for connections that have closed: an alert', () => {
  const traffic = trafficOf(MINUTES, STEADY, 10);
  const counts: Counts = ({ opened }) => ({ timer: 5 + opened, timeout: opened });
  const { transitions } = run(MINUTES, shapeOf(traffic, counts), { everyMs: ROW_MS });
  expect(transitions[0]).toMatchObject({ kind: 'resource-growth', subject: 'timer' });
});
