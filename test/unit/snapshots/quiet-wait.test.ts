import { failed } from '../../../src/core/outcome.ts';
import { waitForQuiet } from '../../../src/snapshots/quiet-wait.ts';
import type { CaptureReadings, Failed } from '../../../src/types/index.ts';
import { captureReadings } from '../../support/capture-readings.ts';
import { createFakeClock } from '../../support/fake-clock.ts';

interface Setup {
  /** The load of each second, the last one again and again. Null: the thread does not reply. */
  readonly loads: readonly (number | null)[];
  readonly pauseMs?: number;
  readonly timeScale?: number;
}

/** Starts a wait, and returns how long it took until it ended within `maxMs`, and its readings. */
async function waitedFor({ loads, pauseMs = 900, timeScale = 1 }: Setup) {
  const clock = createFakeClock();
  const startedMs = clock.nowMs();
  let loop = { activeMs: 0, atMs: clock.nowMs() };
  let reads = 0;
  const first = captureReadings({ loop });
  const read = (): Promise<CaptureReadings | Failed> => {
    const load = loads[Math.min(reads, loads.length - 1)] ?? null;
    reads += 1;
    if (load === null) return Promise.resolve(failed('WSGUARD_CAPTURE_FAILED', 'the thread is blocked'));
    const passedMs = clock.nowMs() - loop.atMs;
    loop = { activeMs: loop.activeMs + passedMs * load, atMs: clock.nowMs() };
    return Promise.resolve(captureReadings({ loop }));
  };
  let endedMs: number | null = null;
  const done = waitForQuiet(first, { clock, timeScale, read, pauseMs }).then((readings) => {
    endedMs = clock.nowMs();
    return readings;
  });
  for (let step = 0; step < 700 && endedMs === null; step += 1) {
    for (let turn = 0; turn < 6; turn += 1) await Promise.resolve();
    if (endedMs === null) clock.advance(100);
  }
  const latest = await done;
  return { waitedMs: clock.nowMs() - startedMs, isFirst: latest === first, reads };
}

test('a short pause does not wait, and nothing is read', async () => {
  expect(await waitedFor({ loads: [1], pauseMs: 10 })).toEqual({ waitedMs: 0, isFirst: true, reads: 0 });
});

test('an idle server waits for one second', async () => {
  expect(await waitedFor({ loads: [0.02] })).toMatchObject({ waitedMs: 1_000, isFirst: false });
});

test('a burst of 7 seconds is waited for', async () => {
  expect(await waitedFor({ loads: [...Array<number>(7).fill(0.9), 0.05] })).toMatchObject({
    waitedMs: 8_000,
  });
});

test('the wait ends after a minute, when each second is busier than the one before', async () => {
  const loads = Array.from({ length: 60 }, (_, second) => 0.2 + second / 100);
  expect(await waitedFor({ loads })).toMatchObject({ waitedMs: 60_000, isFirst: false });
});

test('the time scale shortens the wait', async () => {
  expect(await waitedFor({ loads: [0.9], timeScale: 60 })).toMatchObject({ waitedMs: 1_000, reads: 1 });
});

test('a thread that does not reply ends the wait', async () => {
  expect(await waitedFor({ loads: [0.9, null] })).toMatchObject({ waitedMs: 2_000, reads: 2 });
});
