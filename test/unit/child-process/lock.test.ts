import {
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { releaseLockOfThisProcess, takeLock } from '../../../src/child-process/lock.ts';

let dir: string;
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'wsguard-lock-'))));
afterEach(() => rmSync(dir, { recursive: true, force: true }));
const holder = (): unknown => JSON.parse(readFileSync(join(dir, '.analysis.lock'), 'utf8'));

test('a second one is refused until the first is released', () => {
  const lock = takeLock(dir, Date.now());
  expect(takeLock(dir, Date.now())).toBeNull();
  lock?.release();
  expect(takeLock(dir, Date.now())).not.toBeNull();
});

test('it names its owner and its child', () => {
  const lock = takeLock(dir, Date.now());
  lock?.setChild(77);
  expect(holder()).toMatchObject({ owner: process.pid, child: 77 });
  lock?.holdUntil(1_234);
  expect(holder()).toMatchObject({ child: 0, untilWallMs: 1_234 });
  expect(readdirSync(dir)).toEqual(['.analysis.lock']);
});

test('a lock that its owner has created and not written yet is not removed', () => {
  const file = join(dir, '.analysis.lock');
  writeFileSync(file, '');
  expect(takeLock(dir, Date.now())).toBeNull();
  expect(takeLock(dir, Date.now() + 60_000)).not.toBeNull();
});

test('an owner that has lost its lock does not touch that of the next one', () => {
  const lock = takeLock(dir, Date.now());
  // Its child has ended, so the next process takes the lock.
  lock?.setChild(2 ** 22);
  const next = takeLock(dir, Date.now());
  next?.setChild(77);
  lock?.holdUntil(Date.now() + 60_000);
  lock?.release();
  expect(holder()).toMatchObject({ child: 77 });
  next?.release();
  expect(readdirSync(dir)).toEqual([]);
});

test('after the death of a watcher the process can let go of the lock', () => {
  takeLock(dir, Date.now())?.holdUntil(Date.now() + 60_000);
  expect(takeLock(dir, Date.now())).toBeNull();
  releaseLockOfThisProcess(dir);
  expect(takeLock(dir, Date.now())).not.toBeNull();
});

test('the lock of another process stays', () => {
  const file = join(dir, '.analysis.lock');
  writeFileSync(file, JSON.stringify({ host: 'another', owner: process.pid, child: 0 }));
  releaseLockOfThisProcess(dir);
  expect(readdirSync(dir)).toEqual(['.analysis.lock']);
});

test.each(['before it is taken', 'while it is held'])(
  'a link in its place %s is not written through',
  (when) => {
    writeFileSync(join(dir, 'victim'), 'precious');
    const plant = (): void => {
      rmSync(join(dir, '.analysis.lock'), { force: true });
      symlinkSync('victim', join(dir, '.analysis.lock'));
    };
    if (when.startsWith('before')) plant();
    const lock = takeLock(dir, Date.now());
    if (when.startsWith('while')) plant();
    lock?.setChild(77);
    expect(readFileSync(join(dir, 'victim'), 'utf8')).toBe('precious');
    expect(lstatSync(join(dir, '.analysis.lock')).isFile()).toBe(true);
  },
);
