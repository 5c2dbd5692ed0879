import { processMemory } from '../../../src/core/process-memory.ts';

test.each(['EMFILE', 'ENOENT'])('after %s the RSS is unknown, and the numbers of V8 are there', (code) => {
  const memory = processMemory(undefined, () => {
    throw Object.assign(new Error('uv_resident_set_memory'), { code });
  });
  expect(memory.rss).toBeNaN();
  expect(memory.arrayBuffers).toBeNaN();
  expect(memory.heapTotal).toBeGreaterThanOrEqual(memory.heapUsed);
  expect(memory.heapUsed).toBeGreaterThan(0);
  expect(processMemory().rss).toBeGreaterThan(0);
});
