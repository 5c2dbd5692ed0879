import { classNameOf, findProperty, hasMethod } from '../../../src/hooks/find-property.ts';

const mustNotRun = (): never => {
  throw new Error('code of the application');
};

test('finds own and inherited properties', () => {
  class Base {
    pipe(): void {}
  }
  class Derived extends Base {
    own = 1;
  }
  const thing = new Derived();
  expect([findProperty(thing, 'own'), hasMethod(thing, 'pipe'), hasMethod(thing, 'own')]).toEqual([
    1,
    true,
    false,
  ]);
  expect(hasMethod(Object.create(null) as object, 'pipe')).toBe(false);
});

test('runs no getter and no trap', () => {
  class WithGetter {
    get pipe(): unknown {
      return mustNotRun();
    }
  }
  Object.defineProperty(WithGetter.prototype, 'constructor', { get: mustNotRun });
  const proxy = new Proxy(
    {},
    { get: mustNotRun, has: mustNotRun, getOwnPropertyDescriptor: mustNotRun, getPrototypeOf: mustNotRun },
  );
  for (const thing of [new WithGetter(), proxy, Object.create(proxy) as object]) {
    expect(hasMethod(thing, 'pipe')).toBe(false);
    expect(classNameOf(thing, 'EventEmitter')).toBe('EventEmitter');
  }
});

test('names of classes', () => {
  class Bus {}
  const Anonymous = (() => class {})();
  class StaticName {
    static get name(): string {
      return mustNotRun();
    }
  }
  expect([new Bus(), new Anonymous(), new StaticName(), {}].map((thing) => classNameOf(thing, '?'))).toEqual([
    'Bus',
    '?',
    '?',
    'Object',
  ]);
});
