import { lazy } from '../../../src/core/lazy.ts';

test('makes its value once, with the first use, and null or undefined are values too', () => {
  const make = jest.fn(() => null);
  const value = lazy(make);
  expect(make).not.toHaveBeenCalled();
  expect([value(), value()]).toEqual([null, null]);
  expect(make).toHaveBeenCalledTimes(1);
});

test('a failure is no value: the next use tries again', () => {
  const make = jest
    .fn<string, []>(() => 'loaded')
    .mockImplementationOnce(() => {
      throw new Error('out of descriptors');
    });
  const value = lazy(make);
  expect(value).toThrow('out of descriptors');
  expect(value()).toBe('loaded');
});
