/** Progress on standard error for work that takes longer than two seconds. */
import { createClock } from '../core/clock.ts';
import type { Clock } from '../types/index.ts';
import type { CliIo } from './command.ts';

const FIRST_LINE_AFTER_MS = 2000;
const LINE_EVERY_MS = 1000;

export interface Progress {
  /** Sets what the next lines say. */
  update(text: string): void;
  stop(): void;
}

/** A line is written by a timer and by `update`, because a synchronous loop keeps timers from running. */
export function startProgress(io: Pick<CliIo, 'err'>, text: string, clock: Clock = createClock()): Progress {
  const startMs = clock.nowMs();
  let current = text;
  let nextMs = startMs + FIRST_LINE_AFTER_MS;
  const writeIfDue = (): void => {
    const nowMs = clock.nowMs();
    if (nowMs < nextMs) return;
    nextMs = nowMs + LINE_EVERY_MS;
    io.err(`${current} (${Math.round((nowMs - startMs) / 1000)} s)\n`);
  };
  const stop = clock.every(LINE_EVERY_MS, writeIfDue);
  return {
    update(newText) {
      current = newText;
      writeIfDue();
    },
    stop,
  };
}
