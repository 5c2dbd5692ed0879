/** `slowConsumer`: pending writes grow on connections whose peers still read. */

import { formatBytes, formatCount, formatDuration } from '../core/format.ts';
import { LEAKS } from '../kinds/index.ts';
import type { Evidence } from '../types/index.ts';
import { halfHeartbeatText, noGrowth } from './count-text.ts';
import { found, insufficientData, noFinding, type Detector } from './detector.ts';
import { HOUR_MS } from './history.ts';
import { missingDurationMs } from './pool-doubt.ts';

const NAME = 'backlog';
const { thresholds } = LEAKS['slow-consumer'];
const MIN_RISE = thresholds.rise.value;

export const slowConsumer: Detector = {
  name: NAME,
  evaluate({ history, counts }) {
    if (counts.missing !== null) return [insufficientData(NAME, counts.missing)];
    const growth = counts.growthOf('sendBufferBytes', { minRise: MIN_RISE, perConnection: true });
    if (growth === null) {
      const because = 'Too few samples have the number of bytes in send buffers';
      return [noFinding(NAME, 'inconclusive', because, { missing: 'samples with ws_send_buffer_bytes' })];
    }
    const slow = history.last?.connections.slow ?? 0;
    // Sockets share the string of a broadcast: these bytes say which peers are slow, never how much memory they need.
    const evidence: Evidence[] = [
      { name: 'ws_send_buffer_bytes', value: growth.now, unit: 'By' },
      {
        name: 'rise_in_window',
        value: growth.rise,
        unit: 'By',
        threshold: MIN_RISE,
        windowMs: growth.windowMs,
      },
      { name: 'slow_connections', value: slow, unit: 'connections' },
    ];
    const unresponsive = history.last?.connections.unanswering ?? 0;
    const fix = unresponsive > slow ? halfHeartbeatText(history.last?.connections.suspicionProbes) : '';
    const title = titleOf(growth.now, slow, unresponsive) + fix;
    if (growth.answer !== 'found')
      return [noGrowth(NAME, growth, title, { evidence, minText: formatBytes(MIN_RISE) })];
    const missingMs = missingDurationMs(history, {
      rule: thresholds,
      valuesOf: (window) => window.column('sendBufferBytes'),
      nowBytes: growth.now,
      perMs: growth.perHour / HOUR_MS,
      spanMs: growth.windowMs,
      fromMs: 0,
    });
    if (missingMs !== null)
      return [
        noFinding(NAME, 'inconclusive', `${title}, but queues that have a limit grow like that at first`, {
          evidence,
          missing: `growth for ${formatDuration(missingMs)}`,
        }),
      ];
    return [found(NAME, { kind: 'slow-consumer', subject: 'send buffers', title, evidence })];
  },
};

/**
 * The bytes in the send buffers are a fact, also where the peers are unresponsive. Between two reads of a slow peer its
 * send buffer can be short for a moment, so `slow` may be 0.
 */
function titleOf(bytes: number, slow: number, unresponsive: number): string {
  if (bytes < 1024) return 'There are no pending writes';
  const size = formatBytes(bytes);
  if (unresponsive > slow)
    return `Pending writes grew to ${size}; ${formatCount(unresponsive)} ${unresponsive === 1 ? 'peer is' : 'peers are'} unresponsive`;
  const peers = slow === 0 ? '' : ` for ${formatCount(slow)} slow ${slow === 1 ? 'peer' : 'peers'}`;
  return `Pending writes${peers} grew to ${size}`;
}
