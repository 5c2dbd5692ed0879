import { setImmediate } from 'node:timers/promises';
import { inspectorConnection } from '../../../src/core/inspector-connection.ts';
import { PrivateFieldReader } from '../../../src/hooks/discovery/private-fields.ts';
import { privateNames } from '../../../src/hooks/discovery/source-text.ts';

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
  expect(privateNames(Minified as object)).toEqual({ fields: ['#a', '#b'], accessors: ['#d'] });
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

test('an accessor of a class above, whose name a comment of the subclass has, and one of minified code', () => {
  class Sub extends Base {
    /* The class above has
       #size
    */
    readonly #topics = new Set([2]);
    topics = () => this.#topics;
  }
  const names = read(new Sub('sub')).map(([name]) => name);
  expect(names).toEqual(['#topics', '#clients', '#limit', '#name']);
  // oxlint-disable-next-line typescript/no-implied-eval -- as above
  const minified = new Function('return class{#a=";#b;";get#b(){return this.#a}set#c(a){this.#a=a}}')();
  expect(privateNames(minified as object)).toMatchObject({ accessors: ['#b', '#c'] });
  expect(applicationCode).not.toHaveBeenCalled();
});

test('a word that is no field ends the reading of that word only', () => {
  class Styled {
    // see #123
    /* the colour is
       #fff;
    */
    readonly #clients = [1];
    clients = (): number[] => this.#clients;
  }
  const reader = new PrivateFieldReader();
  for (let walk = 0; walk < 3; walk += 1) expect(read(new Styled(), reader)).toEqual([['#clients', [1]]]);
});

test('a name that two classes of an object have is not read, and stays readable in objects of one of them', () => {
  class Shadowing extends Base {
    readonly #clients = 2;
    count = (): number => this.#clients;
  }
  const reader = new PrivateFieldReader();
  const namesOf = (instance: object): string[] => read(instance, reader).map(([name]) => name);
  expect(namesOf(new Shadowing('sub'))).toEqual(['#limit', '#name']);
  expect(namesOf(new Base('base'))).toEqual(['#clients', '#limit', '#name']);
});

test('a class with a very long source has none', () => {
  const source = `return class { #clients; /*${' '.repeat(50_000)}*/ }`;
  // oxlint-disable-next-line typescript/no-implied-eval -- as above
  expect(privateNames(new Function(source)() as object)).toBeNull();
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
