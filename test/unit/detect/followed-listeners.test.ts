import type { EmitterReading, ListenerChangesReading } from '../../../src/types/index.ts';
import { createTestDetection, run, type Shape } from '../../support/run.ts';
import { byTransport, sampleOf } from '../../support/samples.ts';

/** The verdict needs two hours, and a process that has run for longer. */
const MINUTES = 180;
const EVERY = { everyMs: 30_000 };
const CLOSED_PER_MINUTE = 10;
const GAINED_PER_MINUTE = 8;
/** The pattern repeats, so that a run is the same each time. */
const VARIATION = [0, 3, -2, 1, -3, 2, 0, -1];

interface Now {
  readonly minute: number;
  readonly connections: number;
  readonly opened: number;
  readonly closed: number;
}

/** Each closed connection is replaced at once, and the connections climb in a straight line. */
function at(minute: number): Now {
  const row = Math.round(4 * minute);
  const closed = Math.max(
    0,
    Math.round(CLOSED_PER_MINUTE * minute) + (VARIATION[row % VARIATION.length] ?? 0),
  );
  const connections = 30 + Math.round(GAINED_PER_MINUTE * minute);
  return { minute, connections, opened: connections + closed, closed };
}

interface Server {
  readonly listeners: (now: Now) => number;
  readonly changes?: (now: Now) => Partial<ListenerChangesReading>;
  readonly more?: (now: Now) => Partial<Shape>;
}

/** Half of the opens are seen alone, and each adds `perOpened`. */
const shapeOf =
  (perOpened: number, { listeners, changes = () => ({}), more = () => ({}) }: Server) =>
  (minute: number): Shape => {
    const now = at(minute);
    const opened = Math.round(now.opened / 2);
    const reading = {
      opened,
      added: perOpened * opened,
      other: 0,
      unseen: 30,
      before: 30 * perOpened,
      ...changes(now),
    };
    const row: EmitterReading = {
      emitter: 'feed',
      event: 'price',
      listeners: Math.round(listeners(now)),
      eventNames: null,
      changes: reading,
      source: 'found',
    };
    return { ...now, more: { emitters: [row], ...more(now).more } };
  };

const openedBy = (perOpened: number, server: Server): readonly string[] =>
  run(MINUTES, shapeOf(perOpened, server), EVERY).opened;
const LEAK: Server['listeners'] = ({ connections, closed }) => connections + closed / 10;

test('every tenth closed connection leaves a listener: an alert after two hours, with the rate', () => {
  const detection = createTestDetection();
  const { transitions } = run(MINUTES, shapeOf(1, { listeners: LEAK }), { ...EVERY, detection });
  const [alert] = transitions;
  expect(alert).toMatchObject({ event: 'opened', kind: 'listener-accumulation', subject: 'feed price' });
  expect(alert?.minute).toBeLessThan(135);
  expect(alert?.title).toMatch(/, 0\.10 leaked per closed connection$/);
});

test('three listeners a connection, of which one in four leaves one: the rate', () => {
  const listeners: Server['listeners'] = ({ connections, closed }) => 3 * connections + closed / 4;
  const { transitions } = run(MINUTES, shapeOf(3, { listeners }), EVERY);
  expect(transitions[0]?.title).toMatch(/, 0\.2[45] leaked per closed connection$/);
});

test('a recording without the changes is inconclusive, as before', () => {
  const shape = shapeOf(1, { listeners: LEAK });
  const withoutChanges = (minute: number): Shape => {
    const { more, ...rest } = shape(minute);
    const emitters = (more?.emitters ?? []).map(
      ({ emitter, event, listeners, eventNames, source }): EmitterReading => ({
        emitter,
        event,
        listeners,
        eventNames,
        source,
      }),
    );
    return { ...rest, more: { emitters } };
  };
  expect(run(MINUTES, withoutChanges, EVERY).opened).toEqual([]);
});

describe('no alert', () => {
  test.each([1, 3, 10])('%i listeners per connection', (perOpened) => {
    const listeners: Server['listeners'] = ({ connections }) => perOpened * connections + 5;
    expect(openedBy(perOpened, { listeners })).toEqual([]);
  });

  test('a part of the connections has a further listener', () => {
    const listeners: Server['listeners'] = ({ connections }) => 1.12 * connections;
    expect(openedBy(1.12, { listeners })).toEqual([]);
  });

  test('some opened connections add more, and others nothing', () => {
    const changes: Server['changes'] = ({ opened, minute }) => ({
      added: Math.round(opened / 2) + 9 * (Math.floor(minute / 3) % 2),
    });
    expect(openedBy(1, { listeners: LEAK, changes })).toEqual([]);
  });

  test('connections subscribe to more while they are open', () => {
    const listeners: Server['listeners'] = ({ connections }) => 1.12 * connections;
    const changes: Server['changes'] = ({ opened }) => ({ other: 0.12 * opened });
    expect(openedBy(1, { listeners, changes })).toEqual([]);
  });

  test('listeners of closed connections are removed later', () => {
    const changes: Server['changes'] = ({ closed }) => ({ other: closed / 10 });
    expect(openedBy(1, { listeners: LEAK, changes })).toEqual([]);
  });

  test('connections that were open before may have had no listeners', () => {
    const changes: Server['changes'] = () => ({ unseen: 500, before: 30 });
    expect(openedBy(1, { listeners: LEAK, changes })).toEqual([]);
  });

  test('connections of another transport, which may have no listeners', () => {
    const { connections } = sampleOf();
    const more: Server['more'] = (now) => ({
      more: {
        connections: {
          ...connections,
          active: byTransport(now.connections),
          openedTotal: byTransport(now.opened - 300, { sse: 300 }),
          closedTotal: byTransport(now.closed - 300, { sse: 300 }),
        },
      },
    });
    expect(openedBy(1, { listeners: LEAK, more })).toEqual([]);
  });

  test('closed connections keep their listeners up to a limit', () => {
    const listeners: Server['listeners'] = ({ connections, closed }) =>
      connections + Math.min(80, closed / 10);
    expect(openedBy(1, { listeners })).toEqual([]);
  });

  test('too few opened connections were seen alone', () => {
    const changes: Server['changes'] = ({ opened }) => ({
      opened: Math.round(opened / 50),
      added: Math.round(opened / 50),
    });
    expect(openedBy(1, { listeners: LEAK, changes })).toEqual([]);
  });
});
