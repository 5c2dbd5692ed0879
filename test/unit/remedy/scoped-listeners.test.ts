import { EventEmitter } from 'node:events';
import { Readable } from 'node:stream';
import { scopedListeners } from '../../../src/remedy/scoped-listeners.ts';
import { FakeWebSocket } from '../../support/web-sockets.ts';

test.each(['close', 'aborted', 'disconnect'])('%s removes what was added, and nothing else', (event) => {
  const [connection, bus] = [new EventEmitter(), new EventEmitter()];
  bus.on('price', () => undefined);
  const scoped = scopedListeners(connection);
  scoped.on(bus, 'price', () => undefined);
  scoped.once(bus, 'stop', () => undefined);
  expect([bus.listenerCount('price'), bus.listenerCount('stop')]).toEqual([2, 1]);
  connection.emit(event);
  expect([bus.listenerCount('price'), bus.listenerCount('stop')]).toEqual([1, 0]);
  expect(connection.eventNames()).toEqual([]);
});

test('an error ends the scope and is still unhandled', () => {
  const [connection, bus] = [new EventEmitter(), new EventEmitter()];
  scopedListeners(connection).on(bus, 'price', () => undefined);
  expect(() => connection.emit('error', new Error('reset'))).toThrow('reset');
  expect(bus.listenerCount('price')).toBe(0);
});

test('listeners get the values and the emitter as this', () => {
  const bus = new EventEmitter();
  const calls: unknown[] = [];
  scopedListeners(new EventEmitter()).on(bus, 'price', function (this: unknown, ...values: unknown[]) {
    calls.push(this, ...values);
  });
  bus.emit('price', 1, 2);
  expect(calls).toEqual([bus, 1, 2]);
});

test('once: the listener runs once, and its entry is gone', () => {
  const bus = new EventEmitter();
  let calls = 0;
  scopedListeners(new EventEmitter()).once(bus, 'price', () => (calls += 1));
  bus.emit('price');
  bus.emit('price');
  expect([calls, bus.listenerCount('price')]).toEqual([1, 0]);
});

test('the application can remove a listener by its function', () => {
  const bus = new EventEmitter();
  const listener = (): void => undefined;
  scopedListeners(new EventEmitter()).on(bus, 'price', listener);
  bus.off('price', listener);
  expect(bus.listenerCount('price')).toBe(0);
});

test.each([
  ['a closed WebSocket', () => Object.assign(new FakeWebSocket(), { readyState: 3 })],
  ['a destroyed stream', () => new Readable().destroy()],
  ['a disconnected Socket.IO socket', () => Object.assign(new EventEmitter(), { connected: false })],
])('%s gets no listeners', (_name, make) => {
  const bus = new EventEmitter();
  scopedListeners(make()).on(bus, 'price', () => undefined);
  expect(bus.listenerCount('price')).toBe(0);
});
