import { EventEmitter } from 'node:events';
import { ListenerChanges } from '../../../src/hooks/emitters/listener-changes.ts';

const noop = (): void => undefined;

/** An emitter with eight listeners that is followed, in an event loop whose iterations take 1 ms. */
function setUp({ maxPerSecond = 20, openConnections = 3 } = {}) {
  let nowMs = 0;
  let tasks: (() => void)[] = [];
  const changes = new ListenerChanges({
    nowMs: () => nowMs,
    later: (task) => tasks.push(task),
    openConnections: () => openConnections,
    maxPerSecond,
  });
  const bus = new EventEmitter().setMaxListeners(0);
  const add = (count: number): void => {
    for (let i = 0; i < count; i += 1) bus.on('news', noop);
  };
  const remove = (count: number): void => {
    for (let i = 0; i < count; i += 1) bus.off('news', noop);
  };
  add(8);
  changes.follow([{ emitter: bus, event: 'news', listeners: 8 }]);
  const wait = (ms: number): void => {
    for (let iteration = 0; iteration < ms; iteration += 1) {
      nowMs += 1;
      const due = tasks;
      tasks = [];
      for (const task of due) task();
    }
  };
  const open = (count: number, ws = { _isServer: true }): void => {
    changes.noteOpened(ws);
    add(count);
  };
  const close = (count: number): void => {
    changes.noteClosed();
    remove(count);
  };
  const reading = () => changes.readingOf(bus, 'news');
  return { changes, bus, add, remove, wait, open, close, reading };
}

test('what opened connections add is summed', () => {
  const { open, wait, reading } = setUp();
  open(2);
  wait(10);
  open(2);
  open(2);
  wait(10);
  expect(reading()).toEqual({ opened: 3, added: 6, other: 0, unseen: 3, before: 8 });
});

test('listeners that come within three iterations belong to the connection', () => {
  const { open, add, wait, reading } = setUp();
  open(0);
  wait(2);
  add(1);
  wait(10);
  expect(reading()).toMatchObject({ opened: 1, added: 1, other: 0 });
});

test('an open beside a close tells nothing about either, and no other change', () => {
  const { open, close, wait, reading } = setUp();
  open(2);
  wait(2);
  close(1);
  wait(10);
  close(1);
  wait(10);
  open(1);
  wait(10);
  expect(reading()).toMatchObject({ opened: 1, added: 1, other: 0 });
});

test('changes at another time are summed without their sign', () => {
  const { add, remove, open, wait, reading } = setUp();
  wait(100);
  add(2);
  open(1);
  wait(10);
  remove(1);
  open(1);
  wait(10);
  const { opened, added, other } = reading() ?? { opened: 0, added: 0, other: 0 };
  expect({ opened, added }).toEqual({ opened: 2, added: 2 });
  // The first reading took 3 of 10 ms, so the gap after it stands for both.
  expect(other).toBeCloseTo(2 + 10 / 7);
});

test('a connection that a client opens is no connection of the server', () => {
  const { open, wait, reading } = setUp();
  open(1);
  wait(10);
  open(2);
  open(0, { _isServer: false });
  wait(10);
  expect(reading()).toMatchObject({ opened: 1, added: 1, other: 0 });
});

test('beyond the limit a change is among the others', () => {
  const { open, wait, reading } = setUp({ maxPerSecond: 2 });
  for (let i = 0; i < 3; i += 1) {
    open(1);
    wait(10);
  }
  wait(1_000);
  open(1);
  wait(10);
  const { opened, other } = reading() ?? { opened: 0, other: 0 };
  expect(opened).toBe(3);
  expect(other).toBeGreaterThanOrEqual(1);
});

test('the sixteen largest counts are followed, and the others start again', () => {
  const { changes, bus, open, wait, reading } = setUp();
  open(1);
  wait(10);
  const others = Array.from({ length: 16 }, (_, n) => ({
    emitter: new EventEmitter(),
    event: `topic ${n}`,
    listeners: 100,
  }));
  changes.follow([...others, { emitter: bus, event: 'news', listeners: 9 }]);
  expect(reading()).toBeNull();
  changes.follow([{ emitter: bus, event: 'news', listeners: 9 }]);
  expect(reading()).toEqual({ opened: 0, added: 0, other: 0, unseen: 3, before: 9 });
});

test('without a followed count nothing is read', () => {
  const later = jest.fn();
  const changes = new ListenerChanges({
    nowMs: () => 0,
    later,
    openConnections: () => 0,
    maxPerSecond: 20,
  });
  changes.noteOpened({ _isServer: true });
  changes.noteClosed();
  expect(later).not.toHaveBeenCalled();
});
