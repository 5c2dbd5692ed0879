import { runInNewContext } from 'node:vm';
import { scopesOf } from '../../../src/hooks/discovery/closure-scopes.ts';
import { withInspector } from '../../../src/hooks/inspector/inspector-session.ts';

const variablesAround = (closure: object): Map<string, unknown> =>
  withInspector(
    (session) =>
      new Map(
        scopesOf(session, closure)
          .flat()
          .toReversed()
          .map(({ name, value }) => [name, value]),
      ),
  );

test('the variables that a function closes over, and no others', () => {
  const [clients, unused, count] = [new Map(), new Map(), 5];
  const variables = variablesAround(() => [clients, count]);
  expect(variables.get('clients')).toBe(clients);
  expect(variables.get('count')).toBe(5);
  expect(variables.has('unused')).toBe(false);
  expect(unused.size).toBe(0);
});

test('the scopes around the function, the innermost first', () => {
  const outer = new Map();
  const makeHandler = () => {
    const inner = new Set();
    return () => [outer, inner];
  };
  const names = withInspector((session) => scopesOf(session, makeHandler())).map((scope) =>
    scope.map(({ name }) => name),
  );
  expect(names.findIndex((scope) => scope.includes('inner'))).toBeLessThan(
    names.findIndex((scope) => scope.includes('outer')),
  );
});

test('the object of a bound method has the name of its class', () => {
  class Manager {
    readonly connections = new Set();
    welcome(): void {}
  }
  const manager = new Manager();
  expect(variablesAround(manager.welcome.bind(manager)).get('Manager')).toBe(manager);
  expect(variablesAround(manager.welcome.bind(manager).bind(null)).get('Manager')).toBe(manager);
  const plain: object = Object.assign(Object.create(null), { sessions: new Map() });
  expect(variablesAround(manager.welcome.bind(plain as Manager)).get('this')).toBe(plain);
});

test('a function that is bound around a closure: the scopes of its target', () => {
  const clients = new Map();
  const handler = (): unknown => clients;
  expect(variablesAround(handler.bind(null)).get('clients')).toBe(clients);
});

test('a variable before its declaration has no value', () => {
  const handler = (): unknown => late;
  expect(variablesAround(handler).get('late')).toBeUndefined();
  const late = new Map();
  expect(variablesAround(handler).get('late')).toBe(late);
});

test('a getter on the global object of a vm context, and traps of a bound Proxy, do not run', () => {
  const trap = jest.fn();
  const sandbox = Object.defineProperty({}, 'db', { enumerable: true, get: trap });
  variablesAround(runInNewContext('(function onConnection() {})', sandbox) as object);
  const self = new Proxy({}, { get: trap, getPrototypeOf: trap, getOwnPropertyDescriptor: trap });
  variablesAround(function handler() {}.bind(self));
  expect(trap).not.toHaveBeenCalled();
});
