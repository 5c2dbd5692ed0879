import { callSites } from '../../../src/core/call-sites.ts';

const descriptors = () =>
  ['prepareStackTrace', 'stackTraceLimit'].map((name) => Object.getOwnPropertyDescriptor(Error, name));
const before = descriptors();

function reset(): void {
  for (const [index, name] of ['prepareStackTrace', 'stackTraceLimit'].entries()) {
    const descriptor = before[index];
    if (descriptor === undefined) Reflect.deleteProperty(Error, name);
    else Object.defineProperty(Error, name, descriptor);
  }
}
afterEach(reset);

const framesHere = (maxFrames: number) => callSites(maxFrames);

test('returns the frames above a function, and at most so many', () => {
  expect(callSites(2)).toHaveLength(2);
  const inner = (): (string | null)[] => callSites(10, inner).map((frame) => frame.getFunctionName());
  const outer = (): (string | null)[] => inner();
  expect(outer()[0]).toBe('outer');
});

test.each<[string, PropertyDescriptor]>([
  ['a function', { value: () => 'rendered', writable: true, configurable: true, enumerable: false }],
  ['a constant', { value: () => 'rendered', writable: false, configurable: true, enumerable: true }],
])('leaves %s that renders stacks as it is, and does not call it', (_, descriptor) => {
  Object.defineProperty(Error, 'prepareStackTrace', descriptor);
  Error.stackTraceLimit = 0;
  const ours = descriptors();
  expect(framesHere(3)).toHaveLength(3);
  expect(descriptors()).toEqual(ours);
});

test('runs no accessor of the application', () => {
  const calls: unknown[] = [];
  const accessor = {
    get: () => calls.push('get'),
    set: (value: unknown) => calls.push(value),
    configurable: true,
    enumerable: true,
  };
  Object.defineProperty(Error, 'prepareStackTrace', accessor);
  const frames = framesHere(3);
  const after = Object.getOwnPropertyDescriptor(Error, 'prepareStackTrace');
  reset();
  expect(frames).toHaveLength(3);
  expect(after).toEqual(accessor);
  expect(calls).toEqual([]);
});
