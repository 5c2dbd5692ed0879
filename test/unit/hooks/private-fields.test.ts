import { setImmediate } from 'node:timers/promises';
import { inspectorConnection } from '../../../src/core/inspector-connection.ts';
import { PrivateFieldReader } from '../../../src/hooks/discovery/private-fields.ts';
import { privateFieldNames } from '../../../src/hooks/discovery/source-text.ts';

const applicationCode = jest.fn();

class Base {
  static #instances = 0;
  readonly #clients = new Map([['a', 1]]);
  #limit = 100;
  #name;

  constructor(name: string) {
    Base.#instances += 1;
    this.#name = name;
  }

  get #size(): number {
    applicationCode();
    return this.#clients.size;
  }

  #isFull(): boolean {
    applicationCode();
    return this.#size >= this.#limit;
  }

  toString(): string {
    return `${this.#name} ${this.#isFull()} ${Base.#instances}`;
  }
}

class Hub extends Base {
  readonly #rooms = new Set([1]);
  rooms = () => this.#rooms;
}

beforeEach(() => inspectorConnection.acquire());
afterEach(() => inspectorConnection.release());

/** With a walk before, as in a search. */
function read(instance: object, reader = new PrivateFieldReader()) {
  reader.startWalk();
  return reader.fieldsOf(instance);
}

test('private fields of the class of an object, and of the classes above', () => {
  expect(read(new Hub('hub'))).toEqual([
    ['#rooms', new Set([1])],
    ['#clients', new Map([['a', 1]])],
    ['#limit', 100],
    ['#name', 'hub'],
  ]);
  expect(applicationCode).not.toHaveBeenCalled();
});

test('fields in code without spaces', () => {
  // oxlint-disable-next-line typescript/no-implied-eval -- the source of the class is what counts
  const Minified = new Function(
    'return class{#a=new Map;#b;#c(){return this.#a}get #d(){return #b in this}}',
  )();
  expect(privateFieldNames(Minified as object)).toEqual(['#a', '#b']);
});

test('an accessor that a comment mentions like a field', () => {
  class Commented {
    /* Calls
       #size
    */
    get #size(): number {
      applicationCode();
      return 1;
    }
    readonly #clients = [this.#size];
    clients = (): number[] => this.#clients;
  }
  const commented = new Commented();
  applicationCode.mockClear();
  expect(read(commented)).toEqual([['#clients', [1]]]);
  expect(applicationCode).not.toHaveBeenCalled();
});

test('a class with a very long source has none', () => {
  const source = `return class { #clients; /*${' '.repeat(50_000)}*/ }`;
  // oxlint-disable-next-line typescript/no-implied-eval -- as above
  expect(privateFieldNames(new Function(source)() as object)).toEqual([]);
});

test('an object whose constructor has not run has none, and its class is not read again', async () => {
  const rejected = jest.fn();
  process.on('unhandledRejection', rejected);
  const reader = new PrivateFieldReader();
  expect(read(Object.create(Hub.prototype) as object, reader)).toEqual([]);
  expect(read(new Hub('hub'), reader)).toEqual([]);
  await setImmediate();
  process.off('unhandledRejection', rejected);
  expect(rejected).not.toHaveBeenCalled();
});

test('a walk reads 16 fields', () => {
  const reader = new PrivateFieldReader();
  reader.startWalk();
  const counts = Array.from({ length: 6 }, () => reader.fieldsOf(new Hub('hub')).length);
  expect(counts).toEqual([4, 4, 4, 4, 0, 0]);
  expect(read(new Hub('hub'), reader)).toHaveLength(4);
});

test('a plain object has none, and without a session nothing is read', () => {
  expect(read({ clients: new Map() })).toEqual([]);
  inspectorConnection.release();
  expect(read(new Hub('hub'))).toEqual([]);
  inspectorConnection.acquire();
});
