import {
  hasAddressSpaceForWorker,
  hasDescriptorsForWorker,
  isFromStartupSnapshot,
} from '../../../src/agent/thread-support.ts';

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

test.each([
  ['28', 22, false],
  ['64', 32, true],
  ['1024', 1_020, true],
  ['unlimited', 20, true],
])('a limit of %s descriptors with %i open leaves room: %s', (limit, open, hasRoom) => {
  const limits = () => `Max open files            ${limit.padEnd(20)} 4096                 files\n`;
  expect(hasDescriptorsForWorker(limits, () => open)).toBe(hasRoom);
});

test('no descriptor is free for the count itself: there is no room for a Worker', () => {
  const lack = (): never => {
    throw Object.assign(new Error('too many open files'), { code: 'EMFILE' });
  };
  expect(hasDescriptorsForWorker(lack)).toBe(false);
});

test.each([
  [['--snapshot-blob', 'app.blob'], '', true],
  [['--snapshot-blob=app.blob'], '', true],
  [[], '--max-old-space-size=64 --snapshot-blob app.blob', true],
  [['--snapshot-blobs'], '--require ./snapshot-blob.js', false],
])('%j with NODE_OPTIONS %j runs from a startup snapshot: %s', (execArgv, nodeOptions, expected) => {
  expect(isFromStartupSnapshot({ execArgv, nodeOptions })).toBe(expected);
});
