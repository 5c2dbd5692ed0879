import type { Session } from 'node:inspector';
import { InspectorSession } from '../../../src/hooks/inspector/inspector-session.ts';

/** The requests that describing this function sends. */
function requestsFor(thing: object): string[] {
  const requests: string[] = [];
  const session = {
    post(method: string, _params: object, done?: (error: null, value: object) => void): void {
      requests.push(method);
      done?.(null, { result: method === 'Runtime.evaluate' ? { objectId: '1' } : [] });
    },
  };
  new InspectorSession(session as unknown as Session).describe(thing);
  return requests;
}
const withProperties = (properties: object): object => Object.assign(() => undefined, properties);
const properties = (count: number): object =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`p${index}`, index]));

test.each([
  ['a handler', withProperties({ limit: 5 })],
  ['a handler with a short text', withProperties({ text: 'x'.repeat(1_000) })],
])('%s is described', (_, thing) => {
  expect(requestsFor(thing)).toEqual(['Runtime.evaluate', 'Runtime.getProperties']);
});

// oxlint-disable-next-line typescript/no-implied-eval -- the source of the function is what counts
const LONG_SOURCE = new Function(`/*${'x'.repeat(300_000)}*/`);

test.each([
  ['with a long text', withProperties({ page: 'x'.repeat(300_000) })],
  ['with a long source', LONG_SOURCE],
  ['that refers to one with a long source', withProperties({ inner: LONG_SOURCE })],
  ['that is used as a map', withProperties(properties(200))],
  ['behind a Proxy', new Proxy(() => undefined, {})],
])('a function %s is not sent to the inspector', (_, thing) => {
  expect(requestsFor(thing)).toEqual([]);
});
