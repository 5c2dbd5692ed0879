import { hasRoomForWorker } from '../../../src/agent/thread-support.ts';

const proc = (limit: string, usedKib: number) => (path: string) =>
  path.endsWith('limits')
    ? `Limit                     Soft Limit           Hard Limit           Units\nMax address space         ${limit.padEnd(20)} unlimited            bytes\n`
    : `Name:\tnode\nVmPeak:\t 9999999 kB\nVmSize:\t${String(usedKib).padStart(8)} kB\n`;

test.each([
  ['unlimited', 900_000, true],
  [String(1_600_000 * 1024), 650_000, false],
  [String(2_000_000 * 1024), 650_000, true],
])('an address space of %s with %i KiB in use: %s', (limit, usedKib, has) => {
  expect(hasRoomForWorker(proc(limit, usedKib))).toBe(has);
});

test('where there is no /proc nothing is in the way', () => {
  const none = (): string => {
    throw new Error('ENOENT');
  };
  expect(hasRoomForWorker(none)).toBe(true);
});
