import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { isAllowed, isPidTaken, isProcessAlive } from '../../../src/core/process.ts';
import { eventually } from '../../support/eventually.ts';

test('a process is alive until it has ended, also when it belongs to another user', () => {
  expect(isProcessAlive(process.pid)).toBe(true);
  expect(isProcessAlive(1)).toBe(true);
  const { pid } = spawnSync(process.execPath, ['-e', '']);
  expect(isProcessAlive(pid)).toBe(false);
});

test('a process that has ended is not alive while its parent does not ask for its exit code', async () => {
  // The shell itself would ask for the exit code, so its child ends once `sleep` has taken its place.
  const waitForSleep = 'until ps -o comm= -p $$ | grep -q sleep; do :; done';
  const parent = spawn('sh', ['-c', `(${waitForSleep}) & echo $!; exec sleep 60`], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  try {
    const [line] = (await once(parent.stdout, 'data')) as [Buffer];
    const pid = Number(line.toString());
    await eventually(() => !isProcessAlive(pid), 'the end of the process');
    expect(isPidTaken(pid)).toBe(true);
  } finally {
    parent.kill('SIGKILL');
  }
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
