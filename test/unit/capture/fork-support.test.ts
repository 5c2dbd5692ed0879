import fs from 'node:fs';
import { addonFiles, forkUnavailableReason } from '../../../src/capture/fork-support.ts';
import { loadAddon } from '../../../src/capture/native-addon.ts';

/** Runs `task` while a property of `process` has another value. */
function withProcess(name: string, value: unknown, task: () => void): void {
  const descriptor = Object.getOwnPropertyDescriptor(process, name);
  Object.defineProperty(process, name, { value, configurable: true, writable: true });
  try {
    task();
  } finally {
    if (descriptor === undefined) delete (process as unknown as Record<string, unknown>)[name];
    else Object.defineProperty(process, name, descriptor);
  }
}

test.each<[string, unknown, RegExp]>([
  ['platform', 'darwin', /needs Linux, this is darwin/],
  ['platform', 'win32', /needs Linux, this is win32/],
  ['arch', 's390x', /no addon for the architecture s390x/],
  ['versions', { ...process.versions, electron: '30.0.0' }, /Electron/],
  ['permission', { has: () => false }, /--permission/],
])('process.%s = %p is a reason', (name, value, reason) => {
  withProcess(name, value, () => expect(forkUnavailableReason()).toMatch(reason));
});

test('without /proc the reason is not the C library', () => {
  const exists = jest.spyOn(fs, 'existsSync').mockImplementation((file) => !String(file).startsWith('/proc'));
  withProcess('platform', 'linux', () =>
    expect(forkUnavailableReason()).toBe('a forked capture needs /proc, which cannot be read'),
  );
  exists.mockRestore();
});

test('an unknown C library has no addon', () => {
  expect(addonFiles(null).filter((file) => file.includes('prebuilt'))).toEqual([]);
});

test('without a file, or with one that is no addon, the reason is a failure and not an error', () => {
  expect(loadAddon([])).toMatchObject({
    code: 'WSGUARD_FORK_UNAVAILABLE',
    reason: expect.stringContaining('file is missing'),
  });
  expect(loadAddon([__filename])).toMatchObject({ outcome: 'failed' });
});
