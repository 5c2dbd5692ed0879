import { readMemory } from '../../../src/sample/memory.ts';

test('without a free descriptor the RSS is unknown, and the numbers of V8 are there', () => {
  const memory = readMemory(() => {
    throw Object.assign(new Error('too many open files'), { code: 'EMFILE' });
  });
  expect(memory.rssBytes).toBeNaN();
  expect(memory.arrayBuffersBytes).toBeNaN();
  expect(memory.heapUsedBytes).toBeGreaterThan(0);
  expect(memory.oldSpaceBytes).toBeGreaterThan(0);
  expect(readMemory().rssBytes).toBeGreaterThan(0);
});

test('an application that replaces process.memoryUsage does not change the numbers', () => {
  const usage = { rss: 1, heapTotal: 1, heapUsed: 1, external: 1, arrayBuffers: 1 };
  const replaced = jest.spyOn(process, 'memoryUsage').mockImplementation(() => usage);
  const { rssBytes, heapUsedBytes } = readMemory();
  replaced.mockRestore();
  expect(rssBytes).toBeGreaterThan(1);
  expect(heapUsedBytes).toBeGreaterThan(1);
});
