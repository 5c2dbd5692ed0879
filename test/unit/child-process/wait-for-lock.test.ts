/** Jobs of one process queue for the lock; those of another process of the directory are waited for only as long as asked. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { takeLock, type Lock } from '../../../src/child-process/lock.ts';
import { waitForLock } from '../../../src/snapshots/jobs.ts';
import { createFakeClock } from '../../support/fake-clock.ts';

let dir: string;
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'wsguard-queue-'))));
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function start(waitMs: number) {
  const clock = createFakeClock();
  const begin = () => {
    const state: { lock: Lock | null | 'waiting' } = { lock: 'waiting' };
    void waitForLock({ dir, clock, limits: () => ({}) as never }, waitMs).then((lock) => (state.lock = lock));
    return state;
  };
  const advance = async (ms: number): Promise<void> => {
    for (let doneMs = 0; doneMs < ms; doneMs += 250) {
      clock.advance(250);
      await Promise.resolve();
    }
  };
  return { clock, begin, advance };
}

test('a job waits until the one before it in the same process has ended', async () => {
  const { clock, begin, advance } = start(1_000);
  const before = takeLock(dir, clock.wallMs());
  before?.holdUntil(clock.wallMs() + 3_600_000);
  const state = begin();
  await advance(60_000);
  expect(state.lock).toBe('waiting');
  before?.release();
  await advance(500);
  expect(state.lock).toMatchObject({ release: expect.any(Function) });
});

test('it gives up in the end', async () => {
  const { clock, begin, advance } = start(1_000);
  takeLock(dir, clock.wallMs())?.holdUntil(clock.wallMs() + 3_600_000);
  const state = begin();
  await advance(10 * 60_000 + 500);
  expect(state.lock).toBeNull();
});

test('the job of another process is waited for as long as asked', async () => {
  const { clock, begin, advance } = start(1_000);
  const holder = { host: hostname(), owner: process.ppid, child: 0, untilWallMs: clock.wallMs() + 3_600_000 };
  writeFileSync(join(dir, '.analysis.lock'), JSON.stringify(holder));
  const state = begin();
  await advance(500);
  expect(state.lock).toBe('waiting');
  await advance(1_000);
  expect(state.lock).toBeNull();
});
