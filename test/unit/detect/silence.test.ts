import { answerOf, gcEvery, run, createTestDetection, upTo, type Shape } from '../../support/run.ts';

test('warming-up: the first minutes have no verdict, and the answer names the missing data', () => {
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

test('a cache that begins to fill after a flat hour and stops is a plateau', () => {
  const floorMb = (minute: number): number => 60 + upTo(200, 4.4)(Math.max(0, minute - 72));
  const late = run(135, gcEvery(6, floorMb));
  expect(late.opened).toEqual([]);
  expect(answerOf(late, 'floor')?.answer).toBe('plateau');
  // The same growth from the start, and for longer, is a leak.
  expect(
    run(
      72,
      gcEvery(6, (minute) => 60 + 4.4 * minute),
    ).opened,
  ).toEqual(['heap-growth']);
});

test('memory that grows with a rising number of connections is not a leak', () => {
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

test('permessage-deflate contexts: RSS rises once with the connections, then a plateau', () => {
  const step = run(120, (minute) => ({
    connections: minute < 75 ? 200 : 500,
    rssMb: minute < 75 ? 110 : 270,
  }));
  expect(step.opened).toEqual([]);
  expect(answerOf(step, 'native')?.answer).toBe('plateau');
});

test('unreferenced Buffers that wait for a rare major GC are not a leak', () => {
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
    missing: expect.stringContaining('two major GCs'),
  });
});

test('a day/night wave of connections and their memory is not a leak', () => {
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

test('a ramp of connections after a deploy is not a leak', () => {
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

test('reconnect storms with clean-up are not a leak', () => {
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

test('the rise of RSS at a snapshot of the agent is not a leak', () => {
  const server = (minute: number): Shape => ({
    rssMb: minute < 80 ? 110 : 155,
    ...(minute === 80 ? { more: { marks: ['snapshot' as const] } } : {}),
  });
  const stepped = run(200, server);
  expect(stepped.opened).toEqual([]);
  expect(answerOf(stepped, 'native')?.answer).toBe('ok');
  // The window of RSS starts at the snapshot, so half an hour later it is not full.
  expect(answerOf(run(110, server), 'native')?.answer).toBe('warming-up');
});

test('after a suspension of the machine the window starts again', () => {
  const detection = createTestDetection();
  run(40, () => ({}), { detection });
  const after = run(10, () => ({ unanswering: 480, more: { marks: [] } }), { detection, fromMinute: 600 });
  expect(after.opened).toEqual([]);
  expect(answerOf(after, 'unanswering')?.answer).toBe('warming-up');
  const jumped = run(
    30,
    (minute) => ({ unanswering: 400, more: { marks: minute === 611 ? ['clock-jump'] : [] } }),
    {
      detection,
      fromMinute: 611,
    },
  );
  expect(jumped.opened).toEqual([]);
});

test('connections drain to zero and their memory is freed', () => {
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

test('gaps between samples and missing values open no alert', () => {
  const detection = createTestDetection();
  const holes = run(
    120,
    (minute) => ({ ...(minute % 3 === 0 ? { sendBuffer: Number.NaN, unanswering: Number.NaN } : {}) }),
    { detection, everyMs: 55_000 },
  );
  expect(holes.opened).toEqual([]);
  expect(answerOf(holes, 'backlog')?.answer).toBe('ok');
});

test('a steady heap at 75 % of its capacity opens no alert', () => {
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

test('without connection counts leaks are inconclusive and conditions are still detected', () => {
  const unknown = run(60, () => ({ connections: Number.NaN, p99: 900 }));
  expect(unknown.opened).toEqual(['loop-lag']);
  expect(answerOf(unknown, 'floor')).toMatchObject({ answer: 'inconclusive', missing: 'connections' });
});

test('Buffers that are a small part of the growth of RSS are not named', () => {
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

test('a detector without data rules nothing out', () => {
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

test('without ping results and send buffers in the samples, zombie connections and slow consumers are not ruled out', () => {
  const against = (known: Shape): string[] => {
    const result = run(30, (minute) => ({
      ...known,
      more: { registries: [{ name: 'clients', entries: 500 + 10 * minute, source: 'found' }] },
    }));
    expect(result.opened).toEqual(['registry-growth']);
    return result.transitions[0]?.against.map(({ kind }) => kind) ?? [];
  };
  expect(against({})).toEqual(expect.arrayContaining(['zombie-connections', 'slow-consumer']));
  const withoutCounts = against({ unanswering: Number.NaN, sendBuffer: Number.NaN });
  expect(withoutCounts).not.toContain('zombie-connections');
  expect(withoutCounts).not.toContain('slow-consumer');
  expect(withoutCounts).toContain('listener-accumulation');
});
