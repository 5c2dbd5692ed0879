import { Session } from 'node:inspector';
import type { RemoteFunction } from '../../../src/hooks/inspector/inspector-session.ts';
import { InspectorSession } from '../../../src/hooks/inspector/inspector-session.ts';

type Done = (error: null, value: object) => void;

/** A session that answers as `reply` says, and the requests that it was sent. */
function fakeSession(reply: (method: string) => object): { session: InspectorSession; requests: string[] } {
  const requests: string[] = [];
  const session = {
    post(method: string, _params: object, done?: Done): void {
      requests.push(method);
      done?.(null, reply(method));
    },
  };
  return { session: new InspectorSession(session as unknown as Session), requests };
}
const described = (method: string): object => ({
  result: method === 'Runtime.evaluate' ? { objectId: '1' } : [],
});

/** The requests that describing this function sends. */
function requestsFor(thing: object): string[] {
  const { session, requests } = fakeSession(described);
  session.describe(thing);
  return requests;
}
const withProperties = (properties: object): object => Object.assign(() => undefined, properties);
const withProperty = (descriptor: PropertyDescriptor): object =>
  Object.defineProperty(() => undefined, 'x', descriptor);
const properties = (count: number): object =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`p${index}`, index]));
const DESCRIBED = ['Runtime.evaluate', 'Runtime.getProperties'];
const LONG = 'x'.repeat(300_000);
// oxlint-disable-next-line typescript/no-implied-eval -- the source of the function is what counts
const LONG_SOURCE = new Function(`/*${LONG}*/`);
/** The value of a property of a function must not be read where that runs this. */
const getter = (): never => {
  throw new Error('code of the application');
};

test.each([
  [
    'a handler',
    withProperties({ limit: 5, big: 5n, at: new Date(), list: [1], map: new Map(), symbol: Symbol('x') }),
  ],
  ['a handler with a short text', withProperties({ text: 'x'.repeat(1_000) })],
  ['an async function', async () => undefined],
  ['a class', class Hub {}],
  ['a handler with an object of a class', withProperties({ hub: new (class Hub {})() })],
  ['a handler with an array of long texts', withProperties({ pages: [LONG] })],
  ['a handler with a getter', withProperty({ get: getter })],
  ['a bound function', (() => undefined).bind(null)],
])('%s is described', (_, thing) => {
  expect(requestsFor(thing)).toEqual(DESCRIBED);
});

test.each([
  ['with a long text', withProperties({ page: LONG })],
  ['with a long source', LONG_SOURCE],
  ['that refers to one with a long source', withProperties({ inner: LONG_SOURCE })],
  ['that is used as a map', withProperties(properties(200))],
  ['behind a Proxy', new Proxy(() => undefined, {})],
  ['with an Error, whose stack the application can write', withProperties({ last: new Error('x') })],
  ['with a RegExp', withProperties({ pattern: /x/ })],
  ['with a long symbol', withProperties({ symbol: Symbol(LONG) })],
  ['with a large BigInt', withProperties({ big: 1n << 100_000n })],
  ['with a negative large BigInt', withProperties({ big: -(1n << 100_000n) })],
  ['with a long getter', withProperty({ get: LONG_SOURCE as () => unknown })],
  ['with a long setter', withProperty({ set: LONG_SOURCE as () => void })],
  ['with a property of a long name', withProperties({ [LONG]: 1 })],
  ['with a property of a long symbol', withProperties({ [Symbol(LONG)]: 1 })],
  ['with an object of a class with a long name', withProperties({ x: new { [LONG]: class {} }[LONG]!() })],
  ['with a long tag', withProperties({ x: { [Symbol.toStringTag]: LONG } })],
  ['with a Proxy', withProperties({ x: new Proxy({}, {}) })],
  ['with an object that inherits from a Proxy', withProperties({ x: Object.create(new Proxy({}, {})) })],
  ['with a getter `splice`', withProperties({ x: Object.defineProperty({}, 'splice', { get: getter }) })],
  ['that inherits from an Error', Object.setPrototypeOf(() => undefined, new Error('x'))],
] as [string, object][])('a function %s is not sent to the inspector', (_, thing) => {
  expect(requestsFor(thing)).toEqual([]);
});

test('no name of the application is used, because it can replace `Symbol` and `globalThis`', () => {
  const real = new Session();
  real.connect();
  const { for: symbolFor } = Symbol;
  const expected = (): undefined => undefined;
  let remote: RemoteFunction;
  try {
    Symbol.for = getter;
    remote = new InspectorSession(real).describe(expected);
  } finally {
    Symbol.for = symbolFor;
    real.disconnect();
  }
  expect(remote.internal.map(({ name }) => name)).toContain('[[FunctionLocation]]');
});

// JavaScript sees neither what a function is bound to nor a private field, so the first one is known by its reply.
test('after a reply that was too long, no bound function and no class with private static fields is described', () => {
  class WithPrivate {
    static #page = 'x';
    static read = (): string => WithPrivate.#page;
  }
  const opaque = [(() => undefined).bind(null), WithPrivate];
  const { session, requests } = fakeSession((method) =>
    method === 'Runtime.evaluate'
      ? { result: { objectId: '1' } }
      : { result: [], internalProperties: [{ name: '[[TargetFunction]]', value: { description: LONG } }] },
  );
  session.describe(opaque[0]!);
  expect(requests).toEqual(DESCRIBED);
  for (const thing of opaque) session.describe(thing);
  expect(requests).toEqual(DESCRIBED);
  session.describe(() => undefined);
  expect(requests).toEqual([...DESCRIBED, ...DESCRIBED]);
});
