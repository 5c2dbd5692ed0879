/**
 * Forks the application thread, so that a copy of the process writes the heap snapshot. The thread stops for milliseconds.
 * The addon waits for no thread: while one works, this file asks again from the event loop.
 */

import { formatDuration } from '../core/format.ts';
import { failureFrom, refused } from '../core/outcome.ts';
import type { Clock, Failed, ForkedChild, ForkRequest, Refused } from '../types/index.ts';
import { loadAddon, type ForkResult, type NativeAddon } from './native-addon.ts';

export interface ForkOptions {
  readonly clock: Clock;
  readonly writeSnapshot: (file: string) => void;
  readonly duringFork: <T>(fork: () => T) => T;
  /** The addon, except in tests. */
  readonly addon?: NativeAddon;
}

/** A thread pool that is full of work had a quiet moment within 84 attempts (measured). An attempt takes up to 3 ms. */
const RETRY_MS = 3;
const QUICK_RETRIES_MS = 1_000;
/** Chosen: after the quick attempts the event loop gets nearly all of its time back. */
const SLOW_RETRY_MS = 25;
/** Chosen: a machine at 20 times its CPU capacity had no quiet moment within 10 s in 3 of 25 captures (measured). */
const MAX_WAIT_MS = 30_000;
/** Chosen: `waitForChild` ends the child at its deadline. This later end is for a child whose waiting thread is gone. */
const DEADLINE_MARGIN_MS = 10_000;
/**
 * Chosen. The marks are put back on the ranges of the last scan. V8 may have freed one of them since, and memory of malloc with
 * a mark would be missing in the next child process of the application.
 */
const MAX_SCAN_AGE_MS = 500;
const PROCESS_NAME = 'wsguard-capture';

/** Never rejects. */
export async function forkCapture(
  request: ForkRequest,
  options: ForkOptions,
): Promise<ForkedChild | Refused | Failed> {
  const { clock } = options;
  try {
    const addon = options.addon ?? loadAddon();
    if ('outcome' in addon) return addon;
    const startedMs = clock.nowMs();
    let { markedRanges } = request;
    let scannedMs = startedMs;
    for (;;) {
      if (clock.wallMs() > request.validUntilWallMs)
        return refused('cannot fork: the application thread was blocked for too long');
      const result = fork(addon, { ...request, markedRanges }, options);
      if (result.outcome === 'forked') {
        endLate(addon, result.pid, request.deadlineMs, clock);
        return { outcome: 'forked', pid: result.pid, pauseMs: result.stopMs };
      }
      if (result.outcome === 'refused') return refused(`cannot fork: ${result.detail}`);
      const waitedMs = clock.nowMs() - startedMs;
      if (waitedMs >= MAX_WAIT_MS)
        return refused(
          `cannot fork: the thread ${result.detail} worked without a pause for ${formatDuration(MAX_WAIT_MS)}`,
        );
      const retryMs = waitedMs < QUICK_RETRIES_MS ? RETRY_MS : SLOW_RETRY_MS;
      await new Promise<void>((resolve) => void clock.after(retryMs, resolve));
      if (clock.nowMs() - scannedMs < MAX_SCAN_AGE_MS) continue;
      scannedMs = clock.nowMs();
      markedRanges = (await addon.scanMarkedRanges()) ?? markedRanges;
    }
  } catch (error) {
    return failureFrom(error);
  }
}

function fork(
  addon: NativeAddon,
  request: ForkRequest,
  { writeSnapshot, duringFork }: ForkOptions,
): ForkResult {
  const file = `/proc/self/fd/${request.output}`;
  return duringFork(() =>
    addon.forkCapture(request, () => {
      // Only the child gets here. `ps` must not show a second server, and a fatal error must not write its report.
      process.title = PROCESS_NAME;
      process.report.reportOnFatalError = false;
      writeSnapshot(file);
    }),
  );
}

/** Ends and reaps the child when the thread that waits for it is gone. Does nothing after the child was reaped. */
function endLate(addon: NativeAddon, pid: number, deadlineMs: number, clock: Clock): void {
  clock.after(deadlineMs + DEADLINE_MARGIN_MS, () => {
    addon.endCapture(pid);
    clock.after(DEADLINE_MARGIN_MS, () => void addon.waitForCapture(pid));
  });
}
