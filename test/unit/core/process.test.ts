import { spawnSync } from 'node:child_process';
import { isAllowed, isProcessAlive } from '../../../src/core/process.ts';

test('a process is alive until it has ended, also when it belongs to another user', () => {
  expect(isProcessAlive(process.pid)).toBe(true);
  expect(isProcessAlive(1)).toBe(true);
  const { pid } = spawnSync(process.execPath, ['-e', '']);
  expect(isProcessAlive(pid)).toBe(false);
});

test('without a permission model everything is allowed', () => {
  expect(isAllowed('worker')).toBe(true);
});

test('with a permission model its answer counts', () => {
  const has = jest.fn((scope: string, reference?: string) => scope === 'fs.write' && reference === '/data');
  Object.defineProperty(process, 'permission', { value: { has }, configurable: true });
  try {
    expect(isAllowed('fs.write', '/data')).toBe(true);
    expect(isAllowed('fs.write', '/etc')).toBe(false);
    expect(isAllowed('worker')).toBe(false);
  } finally {
    Reflect.deleteProperty(process, 'permission');
  }
});
