import { hasAddressSpaceForWorker } from '../../../src/agent/thread-support.ts';

const procFiles = (limit: string, usedKib: number) => (path: string) =>
  path.endsWith('limits')
    ? `Limit                     Soft Limit           Hard Limit           Units\nMax address space         ${limit.padEnd(20)} unlimited            bytes\n`
    : `Name:\tnode\nVmPeak:\t 9999999 kB\nVmSize:\t${String(usedKib).padStart(8)} kB\n`;

test.each([
  ['unlimited', 900_000, true],
  [String(1_600_000 * 1024), 650_000, false],
  [String(2_000_000 * 1024), 650_000, true],
])('an address space limit of %s with %i KiB in use leaves room: %s', (limit, usedKib, hasRoom) => {
  expect(hasAddressSpaceForWorker(procFiles(limit, usedKib))).toBe(hasRoom);
});

test('without /proc the limit is unknown and a Worker may start', () => {
  const failing = (): string => {
    throw new Error('ENOENT');
  };
  expect(hasAddressSpaceForWorker(failing)).toBe(true);
});
