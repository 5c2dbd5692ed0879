import { EventEmitter } from 'node:events';
import { createGuard } from '../../../src/core/guard.ts';
import { AdditionObserver } from '../../../src/hooks/discovery/addition-observer.ts';

const { set } = Map.prototype as { set: unknown };
const builtIns = () =>
  [Map.prototype, Set.prototype, Array.prototype].map((owner, index) =>
    Object.getOwnPropertyDescriptor(owner, ['set', 'add', 'push'][index] ?? ''),
  );
const faults: unknown[] = [];
const newObserver = () => new AdditionObserver(createGuard(({ error }) => faults.push(error)));
const webSocket = () => Object.assign(new EventEmitter(), { send: () => undefined, readyState: 1 });
afterEach(() => expect(faults.splice(0)).toEqual([]));

class Hub {
  readonly clients = new Map<number, object>();
  readonly #all: object[] = [];
  constructor(server: EventEmitter) {
    server.on('connection', (ws: EventEmitter) => {
      this.clients.set(this.clients.size, ws);
      this.#all.push(ws);
      const inbox: unknown[] = [];
      ws.on('message', (text) => inbox.push(text));
    });
  }
  get all(): object[] {
    return this.#all;
  }
}

test('collections to which the handlers of two connections add, with the line of the call', () => {
  const server = new EventEmitter();
  const hub = new Hub(server);
  const observer = newObserver();
  observer.observe(server, 'server');
  const sockets = [webSocket(), webSocket(), webSocket()];
  server.emit('connection', sockets[0]);
  expect(observer.take()).toEqual([]);
  server.emit('connection', sockets[1]);
  const place = expect.stringMatching(/^addition-observer\.test\.ts:\d+$/) as string;
  expect(observer.take()).toEqual([
    { collection: hub.clients, place, value: sockets[1] },
    { collection: hub.all, place, value: sockets[1] },
  ]);
  observer.stop();
});

test('what one connection adds to several times is private to it; messages of two connections show what is shared', () => {
  const shared = new Set<unknown>();
  const clients = new Set<unknown>();
  const server = new EventEmitter().on('connection', (ws: EventEmitter) => {
    const inbox: unknown[] = [];
    clients.add(ws);
    ws.on('message', (text) => [inbox.push(text), shared.add(text)]);
  });
  const observer = newObserver();
  observer.observe(server, 'server');
  const sockets = [webSocket(), webSocket()];
  for (const ws of sockets) server.emit('connection', ws);
  for (const ws of sockets) for (const text of ['a', 'b']) ws.emit('message', text);
  expect(observer.take().map(({ collection }) => collection)).toEqual([clients, shared, shared]);
  observer.stop();
});

test('the built-in methods are the original ones outside of the observed handlers, also when a handler throws', () => {
  const before = builtIns();
  const server = new EventEmitter().on('connection', () => {
    expect((Map.prototype as { set: unknown }).set).not.toBe(set);
    expect([1].push(2, 3)).toBe(3);
    expect(() => new (Array.prototype.push as unknown as new () => unknown)()).toThrow(TypeError);
    throw new Error('of the application');
  });
  const observer = newObserver();
  observer.observe(server, 'server');
  expect(() => server.emit('connection', webSocket())).toThrow('of the application');
  expect(builtIns()).toEqual(before);
  observer.stop();
  expect(Object.hasOwn(server, 'emit')).toBe(false);
});

test('emit keeps its receiver, arguments and result, and is not a visible field', () => {
  const server = new EventEmitter();
  const observer = newObserver();
  observer.observe(server, 'server');
  const seen: unknown[] = [];
  server.on('connection', function handler(this: unknown, ...args) {
    seen.push(this, ...args);
  });
  expect(server.emit('connection', 1, 2)).toBe(true);
  expect(server.emit('nothing')).toBe(false);
  expect(seen).toEqual([server, 1, 2]);
  expect(Object.keys(server)).not.toContain('emit');
  observer.stop();
});

test('an emit or a built-in method that the application has replaced stays as it is', () => {
  const emit = jest.fn();
  const wrapped = Object.assign(new EventEmitter(), { emit });
  const server = new EventEmitter();
  const observer = newObserver();
  for (const emitter of [wrapped, Object.freeze(new EventEmitter()), {}, server])
    observer.observe(emitter, 'server');
  expect(wrapped.emit).toBe(emit);
  const replaced = jest.fn();
  server.on('connection', () => {
    Set.prototype.add = replaced;
  });
  const original = Object.getOwnPropertyDescriptor(Set.prototype, 'add') ?? {};
  server.emit('connection', webSocket());
  const after = Reflect.get(Set.prototype, 'add') as unknown;
  Object.defineProperty(Set.prototype, 'add', original);
  expect(after).toBe(replaced);
  observer.stop();
});

test('after 30 events of servers and 60 of connections the observer is done', () => {
  const list: unknown[] = [];
  const [server, ws] = [new EventEmitter().on('connection', () => list.push(1)), webSocket()];
  const observer = newObserver();
  observer.observe(server, 'server');
  observer.observe(ws, 'connection');
  for (let n = 0; n < 30; n += 1) server.emit('connection', {});
  expect(observer.take()).not.toEqual([]);
  server.emit('connection', {});
  expect(observer.take()).toEqual([]);
  expect(observer.isDone).toBe(false);
  for (let n = 0; n < 60; n += 1) ws.emit('message', 'hi');
  expect(observer.isDone).toBe(true);
  observer.stop();
});

test('prepareStackTrace of the application does not run', () => {
  const previous = Object.getOwnPropertyDescriptor(Error, 'prepareStackTrace') ?? { configurable: true };
  const ofApplication = jest.fn();
  Error.prepareStackTrace = ofApplication;
  const server = new EventEmitter();
  const hub = new Hub(server);
  const observer = newObserver();
  observer.observe(server, 'server');
  server.emit('connection', webSocket());
  server.emit('connection', webSocket());
  const still = Reflect.get(Error, 'prepareStackTrace') as unknown;
  Object.defineProperty(Error, 'prepareStackTrace', previous);
  expect([ofApplication.mock.calls.length, still === ofApplication, hub.all.length]).toEqual([0, true, 2]);
  observer.stop();
});
