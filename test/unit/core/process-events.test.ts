import { EventEmitter } from 'node:events';
import { ProcessEvents } from '../../../src/core/process-events.ts';

const emitOf = (target: object): unknown => Reflect.get(target, 'emit');
const setUp = () => {
  const target = new EventEmitter();
  return { target, events: new ProcessEvents(target), calls: [] as unknown[] };
};

test('observers run before or after the listeners of the application, and are none themselves', () => {
  const { target, events, calls } = setUp();
  target.on('exit', (code) => calls.push(['application', code]));
  events.observe('exit', (code) => calls.push(['before', code]));
  events.observe('exit', (code) => calls.push(['after', code]), 'after');
  events.observe('warning', () => calls.push('another event'));
  expect(target.emit('exit', 7)).toBe(true);
  expect(target.emit('message', {})).toBe(false);
  expect(calls).toEqual([
    ['before', 7],
    ['application', 7],
    ['after', 7],
  ]);
  expect(target.listenerCount('exit')).toBe(1);
});

test('what a listener of the application throws reaches the caller', () => {
  const { target, events, calls } = setUp();
  target.on('message', () => {
    throw new Error('of the application');
  });
  events.observe('message', (_, handle) => calls.push(handle), 'after');
  expect(() => target.emit('message', 'text', 'handle')).toThrow('of the application');
  expect(calls).toEqual(['handle']);
});

test('the end of the last observer gives back the method as it was', () => {
  const { target, events } = setUp();
  const stops = [events.observe('exit', () => undefined), events.observe('warning', () => undefined)];
  stops[0]?.();
  expect(Object.hasOwn(target, 'emit')).toBe(true);
  stops[1]?.();
  expect(Object.hasOwn(target, 'emit')).toBe(false);
  const own = (): boolean => true;
  target.emit = own;
  events.observe('exit', () => undefined)();
  expect(emitOf(target)).toBe(own);
});

test('a wrapper of somebody else stays, and later observers use the one below it', () => {
  const { target, events, calls } = setUp();
  const stop = events.observe('exit', () => calls.push('first'));
  const ours = emitOf(target) as (...args: unknown[]) => boolean;
  const theirs = (...args: unknown[]): boolean => Reflect.apply(ours, target, args);
  target.emit = theirs as typeof target.emit;
  stop();
  expect(emitOf(target)).toBe(theirs);
  target.emit('exit');
  events.observe('exit', () => calls.push('second'));
  expect(emitOf(target)).toBe(theirs);
  target.emit('exit');
  expect(calls).toEqual(['second']);
});

test('events reach the application after it has replaced what the wrapper uses', () => {
  const { target, events, calls } = setUp();
  target.on('exit', (code) => calls.push(['application', code]));
  events.observe('exit', (code) => calls.push(['before', code]));
  const { apply } = Reflect;
  const iterator = Array.prototype[Symbol.iterator];
  Reflect.apply = undefined as never;
  Array.prototype[Symbol.iterator] = undefined as never;
  try {
    target.emit('exit', 7);
  } finally {
    Reflect.apply = apply;
    // oxlint-disable-next-line no-extend-native -- gives back the original
    Array.prototype[Symbol.iterator] = iterator;
  }
  expect(calls).toEqual([
    ['before', 7],
    ['application', 7],
  ]);
});
