import { readMemory } from '../../../src/sample/memory.ts';

test('without a free descriptor the RSS is unknown, and the numbers of V8 are there', () => {
  const read = jest.spyOn(process, 'memoryUsage').mockImplementation(() => {
    throw Object.assign(new Error('too many open files'), { code: 'EMFILE' });
  });
  const memory = readMemory();
  read.mockRestore();
  expect(memory.rssBytes).toBeNaN();
  expect(memory.arrayBuffersBytes).toBeNaN();
  expect(memory.heapUsedBytes).toBeGreaterThan(0);
  expect(memory.oldSpaceBytes).toBeGreaterThan(0);
  expect(readMemory().rssBytes).toBeGreaterThan(0);
});
