/** Connections opened and never closed, peers answering, no plateau. */

import { found, quiet, type Detector } from './detector.ts';
import { HOUR_MS } from './history.ts';
import { formatCount } from '../core/format.ts';

const NAME = 'unclosed';
/** A morning's ramp takes hours too; what still climbs in a line after so long, with next to no closing, is no ramp. */
const WINDOW_MS = 6 * HOUR_MS;
const QUARTERS = 4;
const MAX_CLOSED_PER_OPENED = 0.2;
const MIN_FACTOR = 2;
const MIN_RISE = 50;
/** The last quarter against the first: below this it slows down. */
const MIN_PACE = 0.5;

export const unclosed: Detector = {
  name: NAME,
  look({ history: { coarse, nowMs } }) {
    const inWindow = coarse.filter(({ atMs }) => atMs >= nowMs - WINDOW_MS);
    const first = inWindow[0];
    const last = inWindow.at(-1);
    if (first === undefined || last === undefined || last.atMs - first.atMs < 0.95 * WINDOW_MS)
      return [
        quiet(NAME, 'warming-up', 'the window is not full yet', {
          missing: `${WINDOW_MS / HOUR_MS} h of samples`,
        }),
      ];
    const at = (quarter: number) => {
      const time = first.atMs + ((last.atMs - first.atMs) * quarter) / QUARTERS;
      return inWindow.findLast(({ atMs }) => atMs <= time)?.answering ?? Number.NaN;
    };
    const steps = Array.from({ length: QUARTERS }, (_, i) => at(i + 1) - at(i));
    const rise = last.answering - first.answering;
    const opened = last.openedTotal - first.openedTotal;
    const closedShare = (last.closedTotal - first.closedTotal) / Math.max(1, opened);
    const evidence = [
      { name: 'ws_connections_active', value: last.answering, unit: 'connections' },
      { name: 'risen_in_window', value: rise, unit: 'connections', threshold: MIN_RISE, windowMs: WINDOW_MS },
      { name: 'closed_per_opened', value: closedShare, unit: '1', threshold: MAX_CLOSED_PER_OPENED },
    ];
    const said = `${formatCount(opened)} connections opened in 6 h and ${formatCount(closedShare * opened)} closed`;
    const grows =
      rise >= MIN_RISE &&
      last.answering >= MIN_FACTOR * first.answering &&
      closedShare <= MAX_CLOSED_PER_OPENED &&
      steps.every((step) => step > 0) &&
      (steps.at(-1) ?? 0) >= MIN_PACE * (steps[0] ?? 0);
    if (!grows) return [quiet(NAME, 'ok', said, { evidence })];
    return [found(NAME, { kind: 'unclosed-growth', subject: 'connections', title: said, evidence })];
  },
};
