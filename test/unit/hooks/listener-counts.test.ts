import { EventEmitter, setMaxListeners } from 'node:events';
import { createGuard } from '../../../src/core/guard.ts';
import type { EmitterTracker, FlaggedEmitter } from '../../../src/hooks/emitters/emitter-tracker.ts';
import { countListeners, ListenerCounts } from '../../../src/hooks/emitters/listener-counts.ts';
import { UniqueNames } from '../../../src/hooks/unique-names.ts';
import { useClearableWeakRefs } from '../../support/clearable-weak-refs.ts';

const { clearAll } = useClearableWeakRefs();
const noop = (): void => undefined;
const withListeners = <E extends EventEmitter>(emitter: E, count: number, event = 'x'): E => {
  emitter.setMaxListeners(0);
  for (let n = 0; n < count; n += 1) emitter.on(event, noop);
  return emitter;
};

function setUp(tracked: { buses?: EventEmitter[]; flagged?: FlaggedEmitter[] } = {}) {
  const faults: string[] = [];
  const tracker = { buses: () => tracked.buses ?? [], flagged: () => tracked.flagged ?? [], blind: () => [] };
  const counts = new ListenerCounts(
    tracker as unknown as EmitterTracker,
    createGuard(({ part }) => faults.push(part)),
    new UniqueNames(),
  );
  return { counts, faults };
}

describe('read', () => {
  test('a watched emitter has a row for its sum, and one for each event from eight listeners on', () => {
    const { counts } = setUp();
    const bus = withListeners(withListeners(new EventEmitter(), 8, 'price'), 7, 'trade');
    counts.watch('bus', bus);
    expect(counts.read([])).toEqual([
      { emitter: 'bus', event: '*', listeners: 15, eventNames: 2, source: 'app' },
      { emitter: 'bus', event: 'price', listeners: 8, eventNames: null, source: 'app' },
    ]);
  });

  test('a server is shown without listeners', () => {
    const { counts } = setUp();
    expect(counts.read([{ name: 'http server', emitter: new EventEmitter() }])).toEqual([
      { emitter: 'http server', event: '*', listeners: 0, eventNames: 0, source: 'found' },
    ]);
  });

  test('a tracked emitter is shown from eight listeners on, and stays shown', () => {
    class Feed extends EventEmitter {}
    const feed = withListeners(new Feed(), 7);
    const { counts } = setUp({ buses: [feed] });
    expect(counts.read([])).toEqual([]);
    feed.on('x', noop);
    expect(counts.read([])[0]).toMatchObject({ emitter: 'Feed', event: '*', listeners: 8 });
    feed.removeAllListeners();
    expect(counts.read([])).toEqual([
      { emitter: 'Feed', event: '*', listeners: 0, eventNames: 0, source: 'found' },
    ]);
  });

  test('an emitter that is watched, a server, flagged and tracked is shown once', () => {
    const bus = withListeners(new EventEmitter(), 20);
    const { counts } = setUp({ buses: [bus], flagged: [{ target: bus, event: null }] });
    counts.watch('bus', bus);
    const sums = counts.read([{ name: 'server', emitter: bus }]).filter(({ event }) => event === '*');
    expect(sums).toEqual([{ emitter: 'bus', event: '*', listeners: 20, eventNames: 1, source: 'app' }]);
  });

  test('two emitters of one class have different names', () => {
    const { counts } = setUp({
      buses: [withListeners(new EventEmitter(), 10), withListeners(new EventEmitter(), 9)],
    });
    const sums = counts.read([]).filter(({ event }) => event === '*');
    expect(sums.map(({ emitter }) => emitter)).toEqual(['EventEmitter', 'EventEmitter #2']);
  });

  test('an EventTarget has a row for the event that Node warned about', () => {
    const target = new EventTarget();
    setMaxListeners(0, target);
    for (let n = 0; n < 12; n += 1) target.addEventListener('abort', () => undefined);
    const { counts } = setUp({
      flagged: [
        { target, event: 'abort' },
        { target, event: Symbol('no name') },
      ],
    });
    expect(counts.read([])).toEqual([
      { emitter: 'EventTarget', event: 'abort', listeners: 12, eventNames: null, source: 'found' },
    ]);
  });

  test('the newest functions that listen to an EventTarget are found by its name in a reading', () => {
    const target = new EventTarget();
    setMaxListeners(0, target);
    const functions = Array.from({ length: 40 }, () => () => undefined);
    for (const each of functions) target.addEventListener('abort', each);
    const { counts } = setUp({ flagged: [{ target, event: 'abort' }] });
    const [row] = counts.read([]);
    expect(counts.targetListeners(row?.emitter ?? '', 'abort')).toEqual(functions.slice(-25));
    expect(counts.targetListeners('EventTarget', 'error')).toBeNull();
    expect(counts.targetListeners('EventEmitter', 'abort')).toBeNull();
  });

  test('an emitter has at most 20 rows of events, those with most listeners', () => {
    const bus = new EventEmitter();
    for (let n = 0; n < 30; n += 1) withListeners(bus, 10 + n, `event ${n}`);
    const { counts } = setUp({ buses: [bus] });
    const rows = counts.read([]);
    expect(rows).toHaveLength(21);
    expect(rows[1]).toMatchObject({ event: 'event 29', listeners: 39 });
    expect(rows.at(-1)).toMatchObject({ event: 'event 10', listeners: 20 });
  });

  test('at most 400 rows, those with most listeners', () => {
    const buses = Array.from({ length: 250 }, (_, n) => withListeners(new EventEmitter(), 8 + n));
    const rows = setUp({ buses }).counts.read([]);
    expect(rows).toHaveLength(400);
    expect(rows[0]?.listeners).toBe(257);
    expect(rows.at(-1)?.listeners).toBe(58);
  });

  test('an emitter whose listeners cannot be read has no row, and its code does not run', () => {
    const broken = withListeners(new EventEmitter(), 1);
    Object.defineProperty(broken, '_events', {
      get() {
        throw new Error('code of the application');
      },
    });
    const { counts, faults } = setUp({ buses: [withListeners(new EventEmitter(), 10)] });
    const rows = counts.read([{ name: 'broken', emitter: broken }]);
    expect(rows.map(({ listeners }) => listeners)).toEqual([10, 10]);
    expect(faults).toEqual([]);
  });
});

describe('a reading of very many event names', () => {
  const busWith = (events: number): EventEmitter => {
    const bus = new EventEmitter();
    for (let n = 0; n < events; n += 1) bus.on(`topic ${n}`, noop);
    return bus;
  };
  const sums = (counts: ListenerCounts): number[] =>
    counts
      .read([])
      .filter(({ event }) => event === '*')
      .map(({ listeners }) => listeners);

  test('counts 4,000 names, and the next readings count the rest', () => {
    const buses = Array.from({ length: 6 }, () => busWith(1_500));
    const { counts } = setUp({ buses });
    expect(sums(counts)).toHaveLength(3);
    expect(sums(counts)).toHaveLength(6);
    for (const bus of buses) bus.on('one more', noop);
    // All were counted, so a new round begins. It keeps the earlier counts of what it does not reach.
    expect(sums(counts)).toEqual([1_501, 1_501, 1_501, 1_500, 1_500, 1_500]);
    expect(sums(counts)).toEqual([1_501, 1_501, 1_501, 1_501, 1_501, 1_501]);
  });
});

describe('watch', () => {
  test('1,000 at a time; the refused ones are counted', () => {
    const { counts } = setUp();
    const bus = withListeners(new EventEmitter(), 1);
    for (let n = 0; n < 1_002; n += 1) counts.watch(`bus ${n}`, bus);
    expect(counts.blind()[0]).toEqual({
      what: '2 emitters that the application registered',
      why: 'the agent watches 1000 at a time',
    });
  });

  test('Dispose ends it; the Dispose of a replaced emitter does not', () => {
    const { counts } = setUp();
    const [first, second] = [new EventEmitter(), withListeners(new EventEmitter(), 1)];
    const disposeFirst = counts.watch('bus', first);
    const disposeSecond = counts.watch('bus', second);
    disposeFirst();
    expect(counts.read([])).toHaveLength(1);
    expect(counts.find('bus', [])).toBe(second);
    disposeSecond();
    expect(counts.read([])).toEqual([]);
    expect(counts.find('bus', [])).toBeNull();
  });

  test('stop ends all', () => {
    const { counts } = setUp();
    counts.watch('bus', new EventEmitter());
    counts.stop();
    expect(counts.read([])).toEqual([]);
  });

  test.each([
    ['an empty name', '', new EventEmitter()],
    ['a name that is not a string', 5, new EventEmitter()],
    ['a plain object', 'bus', {}],
    ['null', 'bus', null],
  ])('%s is a wrong argument', (_case, name, emitter) => {
    const { counts } = setUp();
    expect(() => counts.watch(name as string, emitter as EventEmitter)).toThrow(
      expect.objectContaining({ code: 'WSGUARD_WATCH_ARGUMENT' }),
    );
  });
});

describe('countListeners', () => {
  test('sums over all events, symbols included', () => {
    const event = Symbol('event');
    const emitter = withListeners(new EventEmitter(), 3).on(event, noop);
    expect(countListeners(emitter)).toEqual({
      sum: 4,
      eventCount: 2,
      perEvent: [
        ['x', 3],
        [event, 1],
      ],
    });
  });

  test('with more than 2,000 events counts names only', () => {
    const emitter = new EventEmitter();
    for (let n = 0; n < 2_001; n += 1) emitter.on(`user:${n}`, noop);
    expect(countListeners(emitter)).toEqual({ sum: 2_001, eventCount: 2_001, perEvent: [] });
  });

  test('uses the original methods of a class that overrides them', () => {
    class Strange extends EventEmitter {
      override listenerCount(): number {
        throw new Error('code of the application');
      }
      override eventNames(): string[] {
        return [];
      }
    }
    expect(countListeners(withListeners(new Strange(), 2))?.sum).toBe(2);
  });
});

describe('blind', () => {
  const before = EventEmitter.defaultMaxListeners;
  afterEach(() => {
    EventEmitter.defaultMaxListeners = before;
  });

  test.each([
    [10, []],
    [0, ['EventEmitter.defaultMaxListeners is 0, so Node does not warn about them']],
    [Infinity, ['EventEmitter.defaultMaxListeners is Infinity, so Node does not warn about them']],
  ])('with a default limit of %d', (limit, reasons) => {
    EventEmitter.defaultMaxListeners = limit;
    expect(
      setUp()
        .counts.blind()
        .map(({ why }) => why),
    ).toEqual(reasons);
  });
});

test('an emitter without a usable constructor is named EventEmitter', () => {
  class Strange extends EventEmitter {}
  Object.defineProperty(Strange.prototype, 'constructor', {
    get() {
      throw new Error('code of the application');
    },
  });
  const { counts } = setUp({ buses: [withListeners(new Strange(), 8)] });
  expect(counts.read([])[0]).toMatchObject({ emitter: 'EventEmitter' });
});

test('a full table of watched emitters is searched for dead ones once, and again after a major GC', () => {
  const { counts } = setUp();
  const spy = jest.spyOn(WeakRef.prototype, 'deref');
  for (let n = 0; n < 1_000; n += 1) counts.watch(`bus ${n}`, withListeners(new EventEmitter(), 8));
  for (let n = 0; n < 100; n += 1) counts.watch(`further ${n}`, new EventEmitter());
  // One for each entry, and one of the marker of a GC for each call.
  expect(spy.mock.calls.length).toBeLessThan(1_200);
  spy.mockRestore();
  expect(counts.blind()[0]?.what).toBe('100 emitters that the application registered');
  clearAll();
  const late = withListeners(new EventEmitter(), 9);
  counts.watch('late', late);
  expect(counts.read([]).map(({ emitter }) => emitter)).toEqual(['late', 'late']);
});

test('300 emitters with 1,900 event names each are counted over several readings', () => {
  const buses = Array.from({ length: 300 }, () => {
    const bus = new EventEmitter();
    // The fields of an emitter after 1,900 calls of `on`.
    const events = Object.fromEntries(Array.from({ length: 1_900 }, (_, n) => [`topic ${n}`, noop]));
    return Object.assign(bus, { _events: events, _eventsCount: 1_900 });
  });
  const { counts } = setUp({ buses });
  const spy = jest.spyOn(Reflect, 'ownKeys');
  try {
    const shown: number[] = [];
    for (let reading = 0; reading < 3; reading += 1) {
      spy.mockClear();
      shown.push(counts.read([]).length);
      expect(spy.mock.calls.length).toBeLessThanOrEqual(3);
    }
    expect(shown).toEqual([3, 6, 9]);
  } finally {
    spy.mockRestore();
  }
});
