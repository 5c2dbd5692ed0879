import { run, signalsOf, type Run, type Shape } from '../../support/run.ts';

const answerOf = ({ last }: Run, detector: string) =>
  last.verdicts.find((verdict) => verdict.detector === detector);
const gcEvery =
  (minutes: number, floorMb: (minute: number) => number, more: (minute: number) => Shape = () => ({})) =>
  (minute: number): Shape => ({
    ...more(minute),
    ...(minute > 0 && minute % minutes === 0 ? { floorMb: floorMb(minute) } : {}),
  });
const upTo = (limit: number, perMinute: number) => (minute: number) => Math.min(limit, perMinute * minute);

test('warming-up: nothing is said of the first minutes, and what is missing is named', () => {
  const { last, opened } = run(8, (minute) => ({ unanswering: 30 * minute, connections: 500 }));
  expect(opened).toEqual([]);
  expect(answerOf({ last, opened, transitions: [] }, 'unanswering')).toMatchObject({
    answer: 'warming-up',
    missing: expect.stringContaining('more minutes'),
  });
});

test('a cache that fills for 45 min and stops is a plateau', () => {
  const filled = run(
    150,
    gcEvery(6, (minute) => 60 + upTo(200, 4.4)(minute)),
  );
  expect(filled.opened).toEqual([]);
  expect(answerOf(filled, 'floor')?.answer).toMatch(/plateau|ok/);
});

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

test('a registry that began to grow ten minutes ago is not judged yet, a leak that goes on is', () => {
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

test('a registry that wanders, as sessions with a time to live do, falls as far as it rises', () => {
  const walk = (seed: number): ((minute: number) => Shape) => {
    let state = seed;
    const random = () => (state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32) / 2 ** 32;
    let away = 0;
    return () => {
      // Forgets in ten minutes; 50 entries are its standard deviation.
      away = 0.95 * away + 31 * (random() + random() + random() - 1.5);
      const entries = Math.max(0, Math.round(1000 + away));
      return { more: { registries: [{ name: 'sessions', entries, source: 'app' }] } };
    };
  };
  const opened = [7, 77, 777, 7777].flatMap((seed) => run(600, walk(seed), { everyMs: 30_000 }).opened);
  // In the first hour there is little to compare with: one in forty hours, where a line through each window says eighteen.
  expect(opened.length).toBeLessThanOrEqual(1);
});

test('a cache that begins to fill after a flat hour: judged from there, and it stops', () => {
  const floorMb = (minute: number): number => 60 + upTo(200, 4.4)(Math.max(0, minute - 72));
  const late = run(135, gcEvery(6, floorMb));
  expect(late.opened).toEqual([]);
  expect(answerOf(late, 'floor')?.answer).toBe('plateau');
  // The same line from the start, and longer, is a leak.
  expect(
    run(
      72,
      gcEvery(6, (minute) => 60 + 4.4 * minute),
    ).opened,
  ).toEqual(['heap-growth']);
});

test('connections climb all along, and each needs its memory', () => {
  const connections = (minute: number) => 100 + 4 * minute;
  const noise = [0, 0.6, -0.5, 0.3, -0.2, 0.7, -0.6, 0.1];
  const climb = run(
    240,
    gcEvery(
      8,
      (minute) => 30 + connections(minute) * 0.25 + (noise[(minute / 8) % 8] ?? 0),
      (minute) => ({ connections: connections(minute) }),
    ),
  );
  expect(climb.opened).toEqual([]);
  expect(answerOf(climb, 'floor')?.answer).toBe('ok');
});

test('memory that the allocator keeps after a burst is allocator-retention', () => {
  const burst = run(120, (minute) => {
    const isBurst = minute > 72 && minute < 84;
    return {
      connections: isBurst ? 3000 : 500,
      rssMb: minute <= 72 ? 110 : 330,
      oldMb: isBurst ? 200 : 45,
    };
  });
  expect(burst.opened).toEqual([]);
  expect(answerOf(burst, 'native')?.answer).toBe('allocator-retention');
});

test('contexts of permessage-deflate: one step with the connections, then a plateau', () => {
  const step = run(120, (minute) => ({
    connections: minute < 75 ? 200 : 500,
    rssMb: minute < 75 ? 110 : 270,
  }));
  expect(step.opened).toEqual([]);
  expect(answerOf(step, 'native')?.answer).toBe('plateau');
});

test('Buffers that nobody holds wait for a rare major collection', () => {
  const garbage = run(300, (minute) => ({
    externalMb: 10 + 1.6 * (minute % 70),
    rssMb: 110 + 1.6 * (minute % 70),
    ...(minute > 0 && minute % 70 === 0 ? { floorMb: 45 } : {}),
  }));
  expect(garbage.opened).toEqual([]);
  expect(answerOf(garbage, 'external')?.answer).toBe('ok');
  const waiting = run(50, (minute) => ({ externalMb: 10 + 1.6 * minute }));
  expect(answerOf(waiting, 'external')).toMatchObject({
    answer: 'inconclusive',
    missing: expect.stringContaining('two major collections'),
  });
});

test('a day/night wave of connections with the memory they take', () => {
  const connections = (minute: number) => Math.round(500 + 400 * Math.sin(minute / 40));
  const wave = run(
    600,
    gcEvery(
      7,
      (minute) => 30 + connections(minute) * 0.06,
      (minute) => ({
        connections: connections(minute),
        more: {
          emitters: [
            {
              emitter: 'bus',
              event: '*',
              listeners: connections(minute) * 3,
              eventNames: 2,
              source: 'found',
            },
          ],
          registries: [{ name: 'clients', entries: connections(minute), source: 'app' }],
        },
      }),
    ),
  );
  expect(wave.opened).toEqual([]);
});

test('the ramp after a deploy', () => {
  const connections = (minute: number) => Math.min(2000, 20 * minute);
  const ramp = run(
    240,
    gcEvery(
      8,
      (minute) => 30 + connections(minute) * 0.05,
      (minute) => ({ connections: connections(minute), rssMb: 100 + connections(minute) * 0.1 }),
    ),
  );
  expect(ramp.opened).toEqual([]);
});

test('reconnect storms with clean-up', () => {
  const storms = run(180, (minute) => {
    const isStorm = minute % 20 < 1;
    return {
      connections: isStorm ? 100 : 500,
      closed: Math.floor(minute / 20) * 400,
      uncollected: isStorm ? 400 : 10,
      ...(minute % 20 === 1 ? { floorMb: 45 } : {}),
    };
  });
  expect(storms.opened).toEqual([]);
});

test('the step in RSS of our own snapshot', () => {
  const stepped = run(200, (minute) => ({
    rssMb: minute < 80 ? 110 : 155,
    ...(minute === 80 ? { more: { marks: ['snapshot' as const] } } : {}),
  }));
  expect(stepped.opened).toEqual([]);
  expect(answerOf(stepped, 'native')?.answer).toBe('ok');
});

test('a laptop that slept: the window begins anew', () => {
  const signals = signalsOf();
  run(40, () => ({}), { signals });
  const after = run(10, () => ({ unanswering: 480, more: { marks: [] } }), { signals, fromMinute: 600 });
  expect(after.opened).toEqual([]);
  expect(answerOf(after, 'unanswering')?.answer).toBe('warming-up');
  const jumped = run(
    30,
    (minute) => ({ unanswering: 400, more: { marks: minute === 611 ? ['clock-jump'] : [] } }),
    {
      signals,
      fromMinute: 611,
    },
  );
  expect(jumped.opened).toEqual([]);
});

test('traffic that stops: connections drain to nothing, what they had goes with them', () => {
  const left = (minute: number) => (minute < 60 ? 500 : Math.max(0, 500 - 50 * (minute - 60)));
  const drained = run(120, (minute) => ({
    connections: left(minute),
    closed: 100 + 500 - left(minute),
    more: {
      emitters: [{ emitter: 'bus', event: '*', listeners: left(minute) + 4, eventNames: 1, source: 'found' }],
    },
  }));
  expect(drained.opened).toEqual([]);
});

test('holes between the samples, and missing readings in them', () => {
  const signals = signalsOf();
  const holes = run(
    120,
    (minute) => ({ ...(minute % 3 === 0 ? { sendBuffer: Number.NaN, unanswering: Number.NaN } : {}) }),
    { signals, everyMs: 55_000 },
  );
  expect(holes.opened).toEqual([]);
  expect(answerOf(holes, 'backlog')?.answer).toBe('ok');
});

test('counters that begin anew: another process behind the same name', () => {
  const signals = signalsOf();
  run(60, () => ({}), { signals });
  const restarted = run(20, (minute) => ({ connections: 40 * minute, closed: 0 }), { signals });
  expect(restarted.opened).toEqual([]);
});

test('a steady heap at 75 % of its capacity', () => {
  const steady = run(
    300,
    gcEvery(
      5,
      (minute) => 384 + (minute % 3),
      () => ({ oldMb: 395 }),
    ),
  );
  expect(steady.opened).toEqual([]);
  expect(answerOf(steady, 'threshold')).toMatchObject({
    answer: 'ok',
    because: expect.stringContaining('7'),
  });
});

test('inconclusive says why: listeners grow, and are fewer than two for each connection', () => {
  const grows = run(40, (minute) => ({
    connections: 1000,
    closed: Math.floor(minute * 100),
    more: {
      emitters: [
        {
          emitter: 'bus',
          event: '*',
          listeners: 1000 + Math.round(8 * minute),
          eventNames: 1,
          source: 'found',
        },
      ],
    },
  }));
  expect(grows.opened).toEqual([]);
  expect(answerOf(grows, 'listeners')).toMatchObject({
    answer: 'inconclusive',
    because: expect.stringContaining('below 2 for each connection'),
  });
});

test('no connections in the samples: leaks are inconclusive, conditions are judged', () => {
  const unknown = run(60, () => ({ connections: Number.NaN, p99: 900 }));
  expect(unknown.opened).toEqual(['loop-lag']);
  expect(answerOf(unknown, 'floor')).toMatchObject({ answer: 'inconclusive', missing: 'connections' });
});

test('what is held from before, on a server that nobody leaves any more, does not alarm again', () => {
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

test('Buffers that are a small part of what RSS gained are not the story', () => {
  const verdictOf = (rssPerMinute: number) =>
    run(
      120,
      gcEvery(
        6,
        () => 60,
        (minute) => ({ externalMb: 3 + 2 * minute, rssMb: 120 + rssPerMinute * minute }),
      ),
    ).last.verdicts.find(({ detector }) => detector === 'external');
  expect(verdictOf(20)?.answer).toBe('inconclusive');
  expect(verdictOf(2)?.answer).toBe('found');
});

test('what could not be looked at rules nothing out', () => {
  const { transitions } = run(
    240,
    gcEvery(
      6,
      () => 60,
      (minute) => ({ connections: 50, closed: 10 * minute, opened: 10 * minute + 50, retained: 10 * minute }),
    ),
  );
  const kinds = transitions[0]?.against.map(({ kind }) => kind) ?? [];
  expect(kinds).toContain('slow-consumer');
  expect(kinds).not.toContain('registry-growth');
});
