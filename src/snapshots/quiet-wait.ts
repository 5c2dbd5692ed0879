/** Waits for a quiet moment of the application thread before a capture that stops it for a noticeable time. */

import { isQuietMoment, maxQuietWaitMs } from '../capture/quiet-moment.ts';
import type { CaptureReadings, Clock, Failed } from '../types/index.ts';

interface QuietWaitOptions {
  readonly clock: Clock;
  /** Time runs faster in tests of the agent. */
  readonly timeScale: number;
  readonly read: () => Promise<CaptureReadings | Failed>;
  /** How long the capture stops the thread. */
  readonly pauseMs: number;
}

const SECOND_MS = 1_000;

/** Resolves with the last readings, after 60 s at the latest. */
export async function waitForQuiet(
  first: CaptureReadings,
  { clock, timeScale, read, pauseMs }: QuietWaitOptions,
): Promise<CaptureReadings> {
  const untilMs = clock.nowMs() + maxQuietWaitMs(pauseMs) / timeScale;
  const loads: number[] = [];
  let latest = first;
  while (clock.nowMs() < untilMs && !isQuietMoment(loads)) {
    const delayMs = Math.min(SECOND_MS, untilMs - clock.nowMs());
    await new Promise<void>((resolve) => void clock.after(delayMs, resolve));
    const next = await read();
    // Such as a thread that is blocked and does not reply. The capture itself reports that.
    if ('outcome' in next) break;
    const passedMs = next.loop.atMs - latest.loop.atMs;
    loads.push(passedMs > 0 ? (next.loop.activeMs - latest.loop.activeMs) / passedMs : 1);
    latest = next;
  }
  return latest;
}
