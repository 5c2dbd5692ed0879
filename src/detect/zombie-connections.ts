/** `zombieConnections`: connections that do not reply to pings, and whose number grows. */

import { formatCount } from '../core/format.ts';
import { LEAKS } from '../kinds/index.ts';
import type { Evidence } from '../types/index.ts';
import { found, insufficientData, noFinding, type Detector, type View } from './detector.ts';
import { MINUTE_MS } from './history.ts';
import { median } from './statistics.ts';

const NAME = 'unanswering';
const { thresholds } = LEAKS['zombie-connections'];
const BUSY_WINDOW_MS = 5 * MINUTE_MS;

export const zombieConnections: Detector = {
  name: NAME,
  evaluate(view) {
    const { counts, history } = view;
    if (counts.missing !== null) return [insufficientData(NAME, counts.missing)];
    const cannotBeProbed = history.last?.connections.unaskable ?? 0;
    if (counts.connectionsNow <= cannotBeProbed)
      return [
        noFinding(NAME, 'inconclusive', 'No open connection can be probed', {
          missing: 'connections that can be probed',
        }),
      ];
    const minRise = Math.max(counts.minRise(thresholds), thresholds.openShare.value * counts.connectionsNow);
    const growth = counts.growthOf('unresponsive', { minRise, perConnection: false });
    if (growth === null) {
      const because = 'Too few samples have ping results';
      return [noFinding(NAME, 'inconclusive', because, { missing: 'samples with ping results' })];
    }
    const { windowMs } = growth;
    const evidence: Evidence[] = [
      {
        name: 'wsguard_connections_unanswering',
        value: growth.now,
        unit: 'connections',
        threshold: Math.round(minRise),
        windowMs,
      },
      { name: 'rise_in_window', value: growth.rise, unit: 'connections', windowMs },
      { name: 'ws_connections_active', value: counts.connectionsNow, unit: 'connections' },
    ];
    const title = `${formatCount(growth.now)} of ${formatCount(counts.connectionsNow)} connections do not reply to pings`;
    if (growth.answer !== 'found') return [noFinding(NAME, growth.answer, title, { evidence })];
    if (isBusy(view)) {
      const because = `${title}, but the event loop of the server is too slow to read replies in time`;
      return [noFinding(NAME, 'inconclusive', because, { evidence })];
    }
    return [found(NAME, { kind: 'zombie-connections', subject: 'websocket', title, evidence })];
  },
};

function isBusy({ history: { window, nowMs } }: View): boolean {
  const delays = window
    .column('loopP99Ms', window.rowAt(nowMs - BUSY_WINDOW_MS))
    .filter((ms) => !Number.isNaN(ms));
  return delays.length > 0 && median(delays) > thresholds.busyLoop.value;
}
