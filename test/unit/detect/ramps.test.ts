import { answerOf, createTestDetection, retainingShape, run, type Shape } from '../../support/run.ts';

interface Traffic {
  readonly connections: number;
  readonly opened: number;
  readonly closed: number;
}

/** Opens and closes of each minute vary by chance, as they do on a real server. The seed makes a run repeatable. */
function ramp(minutes: number, perMinute: number, seed: number): Traffic[] {
  let state = seed;
  const random = (): number => (state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32) / 2 ** 32;
  const around = (mean: number): number => Math.round(mean * (0.4 + 1.2 * random()));
  let [opened, closed] = [30, 0];
  return Array.from({ length: 2 * minutes + 2 }, () => {
    closed += around(0.03 * (opened - closed));
    opened = Math.max(opened, closed) + around(perMinute / 2 + 0.03 * (opened - closed));
    return { connections: opened - closed, opened, closed };
  });
}

/** Half a minute per row. */
const at = (traffic: readonly Traffic[], minute: number): Traffic =>
  traffic[Math.round(2 * minute)] ?? { connections: 0, opened: 0, closed: 0 };

const listeners = (count: number): NonNullable<Shape['more']> => ({
  emitters: [{ emitter: 'feed', event: 'price', listeners: count, eventNames: null, source: 'found' }],
});
const registry = (entries: number): NonNullable<Shape['more']> => ({
  registries: [{ name: 'clients', entries: Math.round(entries), source: 'app' }],
});

describe.each([1, 2, 3])('a ramp of connections for four hours, seed %i', (seed) => {
  const traffic = ramp(240, 8, seed);

  test.each([1, 3, 10])('%i listeners per connection: no alert', (perConnection) => {
    const shape = (minute: number): Shape => {
      const now = at(traffic, minute);
      return { ...now, more: listeners(perConnection * now.connections) };
    };
    expect(run(240, shape).opened).toEqual([]);
  });

  test('sessions that are kept for 25 minutes after their connection: no alert', () => {
    const shape = (minute: number): Shape => {
      const now = at(traffic, minute);
      const removed = minute < 25 ? 0 : at(traffic, minute - 25).closed;
      return { ...now, more: registry(now.opened - removed) };
    };
    expect(run(240, shape).opened).toEqual([]);
  });

  test('one connection in ten leaks a listener: an alert with the rate', () => {
    const shape = (minute: number): Shape => {
      const now = at(traffic, minute);
      return { ...now, more: listeners(now.connections + Math.floor(now.closed / 10)) };
    };
    const detection = createTestDetection();
    const { opened } = run(240, shape, { detection });
    expect(opened).toEqual(['listener-accumulation']);
    const [alert] = detection.openAlerts();
    const rate = alert?.evidence.find(({ name }) => name === 'leaked_per_closed_connection')?.value;
    expect(rate).toBeGreaterThan(0.09);
    expect(rate).toBeLessThan(0.11);
  });
});

interface EvenTraffic extends Traffic {
  /** A sample may have a connection whose listeners are not there yet. */
  readonly withListeners: number;
}

/** Connections open at a constant pace; only those that close vary. */
function evenRamp(minutes: number, seed: number): EvenTraffic[] {
  let state = seed;
  const random = (): number => (state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32) / 2 ** 32;
  let closed = 0;
  return Array.from({ length: 2 * minutes + 2 }, (_, row) => {
    closed += Math.floor(4 * random());
    const [even, early] = [30 + 3 * row, random() < 0.08 ? 1 : 0];
    const connections = even + early - closed;
    return { opened: even + early, closed, connections, withListeners: even - closed };
  });
}

describe.each([1, 2, 3])('connections that open at a constant pace, seed %i', (seed) => {
  const traffic = evenRamp(300, seed);
  const now = (minute: number): EvenTraffic => traffic[Math.round(2 * minute)] as EvenTraffic;
  const openedBy = (listenersOf: (row: EvenTraffic) => number): readonly string[] =>
    run(300, (minute) => ({ ...now(minute), more: listeners(Math.round(listenersOf(now(minute)))) })).opened;

  test.each([2, 3, 5])('%i listeners per connection: no alert', (perConnection) => {
    expect(openedBy(({ withListeners }) => perConnection * withListeners + 4)).toEqual([]);
  });

  test('one to four listeners per connection, which is no whole number on average: no alert', () => {
    expect(openedBy(({ withListeners }) => 2.4 * withListeners + 40)).toEqual([]);
  });

  test('listeners that stay: an alert', () => {
    expect(openedBy(({ opened }) => opened)).toEqual(['listener-accumulation']);
    expect(openedBy(({ opened }) => 3 * opened)).toEqual(['listener-accumulation']);
  });
});

/** The first 700 connections have no listeners. They close after an hour, and connections with listeners replace them. */
function draining(seed: number): (Traffic & { readonly withListeners: number })[] {
  const traffic = ramp(240, 0, seed);
  let drained = 0;
  return traffic.map((others, row) => {
    if (row >= 120 && drained < 700) drained += 2 + (row % 3);
    const opened = others.opened + 700 + drained;
    const closed = others.closed + drained;
    return { opened, closed, connections: opened - closed, withListeners: others.connections + drained };
  });
}

describe.each([1, 2, 3])('connections without listeners that drain, seed %i', (seed) => {
  const traffic = draining(seed);
  const now = (minute: number) => traffic[Math.round(2 * minute)]!;

  test.each([1, 2, 3])('%i listeners for each connection that replaces them: no alert', (perConnection) => {
    const shape = (minute: number): Shape => ({
      ...now(minute),
      more: listeners(8 + perConnection * now(minute).withListeners),
    });
    expect(run(240, shape).opened).toEqual([]);
  });

  test('listeners that stay: an alert', () => {
    const shape = (minute: number): Shape => ({ ...now(minute), more: listeners(now(minute).opened - 700) });
    expect(run(240, shape).opened).toEqual(['listener-accumulation']);
  });
});

test.each([
  ['without the time of a last event', false, 25],
  ['with the time of a last event, which a sweep may read', true, 60],
])(
  'a discovered registry that keeps every closed connection, %s',
  (_case, hasLastEventTime, withinMinutes) => {
    const traffic = ramp(90, 4, 1);
    const shape = (minute: number): Shape => {
      const now = at(traffic, minute);
      const clients = { name: 'clients', entries: now.opened, hasLastEventTime, source: 'found' as const };
      return { ...now, more: { registries: [clients] } };
    };
    expect(run(withinMinutes, shape).opened).toEqual(['registry-growth']);
  },
);

test('a discovered registry from which a sweep removes sessions after half an hour, on a ramp: no alert', () => {
  const traffic = ramp(240, 8, 2);
  const shape = (minute: number): Shape => {
    const now = at(traffic, minute);
    // The sweep runs every three minutes.
    const sweptAt = 3 * Math.floor(minute / 3);
    const removed = sweptAt < 30 ? 0 : at(traffic, sweptAt - 30).closed;
    const entries = now.opened - removed;
    return {
      ...now,
      more: { registries: [{ name: 'clients', entries, hasLastEventTime: true, source: 'found' }] },
    };
  };
  expect(run(240, shape).opened).toEqual([]);
});

/** The registry `clients` retains each closed connection for so many minutes. How many close in a minute is chance. */
function keptFor(minutes: number): (minute: number) => Shape {
  const closedAt = ramp(120, 0, 3).map(({ closed }) => closed);
  const closedUntil = (minute: number): number => 3 * minute + ((closedAt[Math.round(2 * minute)] ?? 0) % 3);
  return (minute) => {
    const closed = closedUntil(minute);
    const kept = closed - (minute < minutes ? 0 : closedUntil(minute - minutes));
    const registry = {
      name: 'clients',
      entries: 100 + kept,
      hasLastEventTime: true,
      source: 'found' as const,
    };
    return retainingShape(minute, { closed, retained: kept, registry });
  };
}

test('closed connections that sessions keep until a sweep after half an hour are no finding', () => {
  expect(run(120, keptFor(30)).opened).toEqual([]);
});

test('closed connections that sessions keep for ever are found once a sweep would have run', () => {
  expect(run(34, keptFor(1_000)).opened).toEqual([]);
  expect(run(70, keptFor(1_000)).opened.length).toBeGreaterThan(0);
});

test('a perfectly straight line of connections is inconclusive, and says what would decide', () => {
  const straight = (minute: number): Shape => {
    const connections = 30 + 4 * Math.round(2 * minute);
    return {
      connections,
      opened: 30 + 8 * Math.round(2 * minute),
      closed: 4 * Math.round(2 * minute),
      more: listeners(connections),
    };
  };
  const result = run(110, straight);
  expect(result.opened).toEqual([]);
  expect(answerOf(result, 'listeners')).toMatchObject({
    answer: 'inconclusive',
    missing: 'a change in the number of connections',
  });
});

test('a registry that the application registered waits an hour for sessions to end', () => {
  const traffic = ramp(85, 0, 4);
  const never = (minute: number): Shape => {
    const now = at(traffic, minute);
    return { ...now, more: registry(now.opened) };
  };
  const early = run(30, never);
  expect(early.opened).toEqual([]);
  expect(answerOf(early, 'registries')).toMatchObject({
    answer: 'inconclusive',
    missing: 'more connections that closed more than 65 min ago',
  });
  expect(run(85, never).opened).toEqual(['registry-growth']);
});

test.each([
  [0.25, 1],
  [0.5, 1],
  [1, 1],
  [0.25, 3],
])(
  'connections that are counted %s min late, %s entries for each, closes that begin later: no leak',
  (lateMinutes, perConnection) => {
    const openedAt = (minute: number): number => Math.round(25 * Math.max(0, minute));
    const closedAt = (minute: number): number => Math.round(20 * Math.max(0, minute - 10));
    const { opened } = run(60, (minute) => {
      const opens = openedAt(minute - lateMinutes);
      const closes = closedAt(minute - lateMinutes / 2);
      const entries = perConnection * (openedAt(minute) - closedAt(minute));
      return {
        opened: opens,
        closed: closes,
        connections: opens - closes,
        more: { registries: [{ name: 'clients', entries, source: 'found' }] },
      };
    });
    expect(opened).toEqual([]);
  },
);
