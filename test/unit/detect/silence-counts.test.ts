import { answerOf, gcEvery, run, createTestDetection, upTo, type Shape } from '../../support/run.ts';

test('a registry that fills and stops is a plateau', () => {
  const bounded = (minute: number): Shape => ({
    more: { registries: [{ name: 'sessions', entries: 500 + upTo(90, 10)(minute), source: 'app' }] },
  });
  expect(run(90, bounded).opened).toEqual([]);
});

test.each([1, 6, 13])(
  'a registry that fills within %i min, long after the start, is a plateau',
  (minutes) => {
    const bounded = (minute: number): Shape => ({
      more: {
        registries: [
          {
            name: 'sessions',
            entries: 500 + Math.round(upTo(90, 90 / minutes)(Math.max(0, minute - 60))),
            source: 'app',
          },
        ],
      },
    });
    expect(run(120, bounded).opened).toEqual([]);
    expect(answerOf(run(80, bounded), 'registries')?.answer).toBe('plateau');
  },
);

test('a registry that fills for the first thirteen minutes opens no alert, early or late', () => {
  const filling = (minute: number): Shape => ({
    more: {
      registries: [{ name: 'sessions', entries: 120 + Math.round(upTo(91, 7)(minute)), source: 'app' }],
    },
  });
  expect(run(16, filling).opened).toEqual([]);
  expect(run(90, filling).opened).toEqual([]);
});

test('a registry that began to grow ten minutes ago has no alert yet, and has one when the growth goes on', () => {
  const late = (minute: number): Shape => ({
    more: {
      registries: [
        { name: 'clients', entries: 500 + Math.round(10 * Math.max(0, minute - 60)), source: 'app' },
      ],
    },
  });
  expect(run(70, late).opened).toEqual([]);
  expect(run(84, late).opened).toEqual(['registry-growth']);
});

test('a registry that varies around a level, as sessions with a time to live do, opens no alert', () => {
  const walk = (seed: number): ((minute: number) => Shape) => {
    let state = seed;
    const random = () => (state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32) / 2 ** 32;
    let away = 0;
    return () => {
      // An autoregressive process with a memory of ten minutes and a standard deviation of 50 entries.
      away = 0.95 * away + 31 * (random() + random() + random() - 1.5);
      const entries = Math.max(0, Math.round(1000 + away));
      return { more: { registries: [{ name: 'sessions', entries, source: 'app' }] } };
    };
  };
  const opened = [7, 77, 777, 7777].flatMap((seed) => run(600, walk(seed), { everyMs: 30_000 }).opened);
  // The first hour is left out, because the window has too little history.
  expect(opened.length).toBeLessThanOrEqual(1);
});

test('after a jump of the clock without a gap the counts before it are ignored', () => {
  const jumped = run(38, (minute) => ({
    unanswering: 10 * minute,
    more: { marks: minute === 13 || minute === 26 ? ['clock-jump'] : [] },
  }));
  expect(jumped.opened).toEqual([]);
  expect(answerOf(jumped, 'unanswering')?.answer).toBe('warming-up');
});

test('counters that restart at zero belong to another process', () => {
  const detection = createTestDetection();
  run(60, () => ({}), { detection });
  const restarted = run(20, (minute) => ({ connections: 40 * minute, closed: 0 }), { detection });
  expect(restarted.opened).toEqual([]);
});

test('inconclusive with the reason: listeners grow, and are fewer than two per connection', () => {
  const grows = run(40, (minute) => ({
    connections: 1000,
    closed: Math.floor(minute * 100),
    more: {
      emitters: [
        {
          emitter: 'bus',
          event: '*',
          listeners: 1000 + Math.round(4 * minute),
          eventNames: 1,
          source: 'found',
        },
      ],
    },
  }));
  expect(grows.opened).toEqual([]);
  expect(answerOf(grows, 'listeners')).toMatchObject({
    answer: 'inconclusive',
    because: expect.stringContaining('fewer than 2 listeners per connection'),
  });
});

test('connections that were retained earlier open no new alert when no connection closes any more', () => {
  const busyUntil = (minutes: number) =>
    run(
      240,
      gcEvery(
        6,
        () => 60,
        (minute) => {
          const closed = 10 * Math.min(minute, minutes);
          return { connections: 50, closed, opened: closed + 50, retained: Math.max(0, closed - 100) };
        },
      ),
    );
  const idle = busyUntil(100);
  expect(idle.last.verdicts.find(({ detector }) => detector === 'retained')?.answer).toBe('plateau');
  expect(busyUntil(240).last.verdicts.find(({ detector }) => detector === 'retained')?.answer).toBe('found');
});

test('Buffers that are allocated at once and stay are a plateau', () => {
  const step = run(
    100,
    gcEvery(
      6,
      () => 60,
      (minute) => ({
        externalMb: minute < 80 ? 3 : 3 + upTo(60, 6)(minute - 80),
        rssMb: minute < 80 ? 110 : 110 + upTo(60, 6)(minute - 80),
      }),
    ),
  );
  expect(step.opened).toEqual([]);
  expect(answerOf(step, 'external')?.answer).toBe('plateau');
});

test('Buffers that grow with the number of connections are not a leak', () => {
  const connections = (minute: number) => 100 + 5 * minute;
  const climb = run(
    120,
    gcEvery(
      6,
      () => 60,
      (minute) => ({
        connections: connections(minute),
        externalMb: 3 + 0.4 * connections(minute),
        rssMb: 110 + 0.5 * connections(minute),
      }),
    ),
  );
  expect(climb.opened).toEqual([]);
  expect(answerOf(climb, 'external')).toMatchObject({
    answer: 'inconclusive',
    because: expect.stringContaining('the connections rose too'),
  });
});

test('closed connections that wait for the next major GC and its finalizers are not a leak, also with rising churn', () => {
  const closed = (minute: number) => Math.floor(minute ** 2);
  const churn = run(
    120,
    gcEvery(
      6,
      () => 45,
      (minute) => {
        // Finalizers run in a task after the GC, so the sample of the GC still counts all of them.
        const collected = minute % 6 === 0 ? minute - 6 : Math.floor(minute / 6) * 6;
        return { closed: closed(minute), uncollected: closed(minute) - closed(Math.max(0, collected)) };
      },
    ),
  );
  expect(churn.opened).toEqual([]);
  expect(answerOf(churn, 'retained')?.answer).toBe('ok');
});

/** An array that the agent discovered gets 30 messages per minute. */
const listed = (isTaken: boolean) => (minute: number) => ({
  queues: [
    {
      name: 'messages',
      items: upTo(3_000, 30)(minute),
      oldestAgeMs: null,
      isTaken,
      source: 'found' as const,
    },
  ],
});

test('a discovered array that only grows may be a limited history, so it opens no alert while memory is steady', () => {
  const history = (minute: number): Shape => ({ more: listed(false)(minute) });
  expect(run(120, history).opened).toEqual([]);
  expect(answerOf(run(60, history), 'queues')).toMatchObject({
    answer: 'inconclusive',
    missing: 'memory that grows too',
  });
  expect(run(60, (minute) => ({ more: listed(true)(minute) })).opened).toEqual(['queue-growth']);
});

test('when memory grows too, the array is the subject of the alert', () => {
  const leaking = gcEvery(
    5,
    (minute) => 40 + 3 * minute,
    (minute) => ({ more: listed(false)(minute) }),
  );
  expect(run(75, leaking).opened).toEqual(['queue-growth']);
});

test('rooms that are objects may be sessions with a time to live, so their number counts only when memory grows too', () => {
  const rooms = (count: number, members: number): Shape => ({
    more: { rooms: [{ name: 'sessions', rooms: count, members, areObjects: true, source: 'found' }] },
  });
  expect(run(60, (minute) => rooms(100 + 10 * minute, 500)).opened).toEqual([]);
  expect(run(60, (minute) => rooms(100, 500 + 10 * minute)).opened).toEqual(['room-growth']);
  const leaking = gcEvery(
    5,
    (minute) => 40 + 3 * minute,
    (minute) => rooms(100 + 10 * minute, 500),
  );
  expect(run(75, leaking).opened).toEqual(['room-growth']);
});
