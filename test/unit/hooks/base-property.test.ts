import { EventEmitter } from 'node:events';
import {
  addListener,
  baseMethod,
  baseNumberReader,
  baseReader,
  removeListener,
} from '../../../src/hooks/base-property.ts';

class Library {
  _state = 1;
  get state(): number {
    return this._state;
  }
  ask(question: string): string {
    return `library ${question}`;
  }
}

/** Records each call of the application's code. */
function applicationClass() {
  const ran: string[] = [];
  class Application extends Library {
    override get state(): number {
      ran.push('state');
      return 9;
    }
    override ask(): string {
      ran.push('ask');
      return 'application';
    }
  }
  return { ran, Application };
}

describe('baseReader', () => {
  const readState = baseReader('state');

  test('a class of the application that overrides the getter does not run', () => {
    const { ran, Application } = applicationClass();
    const thing = new Application();
    expect([readState(thing), readState(thing)]).toEqual([1, 1]);
    expect(ran).toEqual([]);
  });

  test('each object has a value of its own', () => {
    const [first, second] = [new Library(), new Library()];
    second._state = 2;
    expect([first, second].map(readState)).toEqual([1, 2]);
  });

  test('a getter on the object itself does not hide the one of the library', () => {
    const thing = Object.defineProperty(new Library(), 'state', { get: () => 9 });
    expect(readState(thing)).toBe(1);
  });

  test('without a getter in the class it is a value', () => {
    expect(readState({ state: 5 })).toBe(5);
    expect(readState(Object.create({ state: 7 }) as object)).toBe(7);
    expect(readState(Object.assign(Object.create(null) as object, { state: 6 }))).toBe(6);
  });

  test.each([
    ['a getter of a single object', Object.defineProperty({}, 'state', { get: () => 9 })],
    ['no such property', {}],
    ['a Proxy', new Proxy({ state: 1 }, { get: () => 9, getOwnPropertyDescriptor: () => fail() })],
    [
      'a Proxy as prototype',
      Object.create(new Proxy({}, { getOwnPropertyDescriptor: () => fail() })) as object,
    ],
  ])('%s: undefined', (_, thing) => {
    expect(readState(thing)).toBeUndefined();
  });
});

test('a number that cannot be read is 0', () => {
  const readState = baseNumberReader('state');
  const values = [new Library(), { state: '5' }, {}];
  expect(values.map(readState)).toEqual([1, 0, 0]);
});

describe('baseMethod', () => {
  const ask = baseMethod('ask');

  test('calls the method of the library with the object and the arguments', () => {
    const { ran, Application } = applicationClass();
    expect(ask(new Application(), 'why')).toBe('library why');
    expect(ran).toEqual([]);
  });

  test('undefined where there is none, and for a Proxy', () => {
    expect(ask({})).toBeUndefined();
    expect(ask(new Proxy(new Library(), {}), 'why')).toBeUndefined();
  });
});

test('listeners are added and removed by the methods of EventEmitter as they were before', () => {
  const ran: string[] = [];
  class Application extends EventEmitter {
    override on(event: string, listener: () => void): this {
      ran.push('on');
      return super.on(event, listener);
    }
    override removeListener(event: string, listener: () => void): this {
      ran.push('removeListener');
      return super.removeListener(event, listener);
    }
  }
  const replaced = jest.spyOn(EventEmitter.prototype, 'on');
  const listener = (): void => undefined;
  const emitter = new Application();
  addListener(emitter, 'close', listener);
  expect(emitter.listeners('close')).toEqual([listener]);
  removeListener(emitter, 'close', listener);
  expect(emitter.listeners('close')).toEqual([]);
  expect(ran).toEqual([]);
  expect(replaced).not.toHaveBeenCalled();
  replaced.mockRestore();
});

function fail(): never {
  throw new Error('a trap of a Proxy ran');
}

test.each([
  ['the default limit', undefined, 10],
  ['a limit of 1', 1, 1],
])('a listener of the agent beyond %s raises no warning, and the limit stays', (_, limit, count) => {
  const emitter = new EventEmitter() as EventEmitter & { _events: { pong: { warned?: boolean } } };
  if (limit !== undefined) emitter.setMaxListeners(limit);
  for (let n = 0; n < count; n += 1) emitter.on('pong', () => n);
  addListener(emitter, 'pong', () => undefined);
  expect(emitter.listenerCount('pong')).toBe(count + 1);
  // Node marks the list of an event when it warns.
  expect(emitter._events.pong.warned).toBeUndefined();
  expect(emitter.getMaxListeners()).toBe(limit ?? 10);
  emitter.on('pong', () => undefined);
  expect(emitter._events.pong.warned).toBe(true);
});
