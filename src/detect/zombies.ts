/** Zombie connections: asked and not answering, and more of them all the time. */

import type { Evidence } from '../types/index.ts';
import { found, quiet, type Detector, type View } from './detector.ts';
import { minRise, stillWarming } from './registries.ts';
import { MINUTE_MS } from './history.ts';
import { formatCount } from '../core/format.ts';
import { median } from './stats.ts';

const NAME = 'unanswering';
/** So many of the open connections must have stopped answering within the window. */
const MIN_SHARE = 0.1;
/** A server that answers this late itself cannot tell who answers it. */
const BUSY_LOOP_MS = 500;
const BUSY_WINDOW_MS = 5 * MINUTE_MS;

export const unanswering: Detector = {
  name: NAME,
  look(view) {
    const { counts } = view;
    if (counts.missing !== null) return [stillWarming(NAME, counts)];
    const unaskable = view.history.last?.connections.unaskable ?? 0;
    if (counts.connectionsNow <= unaskable)
      return [
        quiet(NAME, 'inconclusive', 'no open connection can be asked', { missing: 'connections to ask' }),
      ];
    const least = Math.max(minRise(counts), MIN_SHARE * counts.connectionsNow);
    const growth = counts.test('unanswering', { minRise: least, perConnection: false });
    if (growth === null) return [quiet(NAME, 'inconclusive', 'too few readings of who answers')];
    const evidence: Evidence[] = [
      {
        name: 'ws_connections_unanswering',
        value: growth.now,
        unit: 'connections',
        threshold: Math.round(least),
        windowMs: growth.windowMs,
      },
      { name: 'risen_in_window', value: growth.rise, unit: 'connections', windowMs: growth.windowMs },
      { name: 'ws_connections_active', value: counts.connectionsNow, unit: 'connections' },
    ];
    const said = `${formatCount(growth.now)} of ${formatCount(counts.connectionsNow)} connections no longer answer`;
    if (growth.answer !== 'found') return [quiet(NAME, growth.answer, said, { evidence })];
    if (isBusy(view))
      return [quiet(NAME, 'inconclusive', 'the server itself is too busy to tell who answers', { evidence })];
    return [found(NAME, { kind: 'zombie-connections', subject: 'websocket', title: said, evidence })];
  },
};

function isBusy({ history: { window, nowMs } }: View): boolean {
  const delays = window
    .column('loopP99Ms', window.rowAt(nowMs - BUSY_WINDOW_MS))
    .filter((ms) => !Number.isNaN(ms));
  return delays.length > 0 && median(delays) > BUSY_LOOP_MS;
}
