/** `unclosedGrowth`: connections that are opened and never closed, whose peers reply, without a plateau. */

import { formatCount, formatDuration } from '../core/format.ts';
import { LEAKS } from '../kinds/index.ts';
import { found, insufficientData, noFinding, type Detector } from './detector.ts';

const NAME = 'unclosed';
const { thresholds, window: detectionWindow } = LEAKS['unclosed-growth'];
const QUARTERS = 4;
/** The points are 5 min apart, so the first one in the window may be later than its start. */
const MIN_SPAN_SHARE = 0.95;

export const unclosedGrowth: Detector = {
  name: NAME,
  evaluate({ history: { coarse, nowMs } }) {
    const points = coarse.filter(({ atMs }) => atMs >= nowMs - detectionWindow.ms);
    const first = points[0];
    const last = points.at(-1);
    if (
      first === undefined ||
      last === undefined ||
      last.atMs - first.atMs < MIN_SPAN_SHARE * detectionWindow.ms
    )
      return [insufficientData(NAME, `${formatDuration(detectionWindow.ms)} of samples`)];
    const atQuarter = (quarter: number): number => {
      const time = first.atMs + ((last.atMs - first.atMs) * quarter) / QUARTERS;
      return points.findLast(({ atMs }) => atMs <= time)?.responsive ?? Number.NaN;
    };
    const rises = Array.from({ length: QUARTERS }, (_, i) => atQuarter(i + 1) - atQuarter(i));
    const rise = last.responsive - first.responsive;
    const opened = last.openedTotal - first.openedTotal;
    const closedPerOpened = (last.closedTotal - first.closedTotal) / Math.max(1, opened);
    const evidence = [
      { name: 'ws_connections_active', value: last.responsive, unit: 'connections' },
      {
        name: 'rise_in_window',
        value: rise,
        unit: 'connections',
        threshold: thresholds.rise.value,
        windowMs: detectionWindow.ms,
      },
      {
        name: 'closed_per_opened',
        value: closedPerOpened,
        unit: '1',
        threshold: thresholds.closedPerOpened.value,
      },
    ];
    const title =
      `${formatCount(opened)} connections opened in ${formatDuration(detectionWindow.ms)} ` +
      `and ${formatCount(closedPerOpened * opened)} closed`;
    const isGrowing =
      rise >= thresholds.rise.value &&
      last.responsive >= thresholds.factor.value * first.responsive &&
      closedPerOpened <= thresholds.closedPerOpened.value &&
      rises.every((step) => step > 0) &&
      (rises.at(-1) ?? 0) >= thresholds.pace.value * (rises[0] ?? 0);
    if (!isGrowing) return [noFinding(NAME, 'ok', title, { evidence })];
    return [found(NAME, { kind: 'unclosed-growth', subject: 'connections', title, evidence })];
  },
};
