/** Slow consumers: what waits to be sent grows, on peers that still read. */

import type { Evidence } from '../types/index.ts';
import { stillWarming } from './registries.ts';
import { found, quiet, type Detector } from './detector.ts';
import { formatBytes, formatCount } from '../core/format.ts';

const NAME = 'backlog';
/** The kernel takes megabytes before the process sees any backlog; less than this is one burst. */
const MIN_BYTES = 4 * 1024 ** 2;

export const backlog: Detector = {
  name: NAME,
  look({ history, counts }) {
    if (counts.missing !== null) return [stillWarming(NAME, counts)];
    const growth = counts.test('sendBufferBytes', { minRise: MIN_BYTES, perConnection: true });
    if (growth === null) return [quiet(NAME, 'inconclusive', 'too few readings of send buffers')];
    const slow = history.last?.connections.slow ?? 0;
    // Broadcast strings are shared between sockets: these bytes say who, never how much memory.
    const evidence: Evidence[] = [
      { name: 'ws_send_buffer_bytes', value: growth.now, unit: 'By' },
      {
        name: 'risen_in_window',
        value: growth.rise,
        unit: 'By',
        threshold: MIN_BYTES,
        windowMs: growth.windowMs,
      },
      { name: 'slow_connections', value: slow, unit: 'connections' },
    ];
    const unanswering = history.last?.connections.unanswering ?? 0;
    const said = sayWaiting(growth.now, slow);
    if (growth.answer === 'found' && unanswering > slow)
      return [quiet(NAME, 'inconclusive', `${said}, who may be those that do not answer`, { evidence })];
    return [
      growth.answer === 'found'
        ? found(NAME, { kind: 'slow-consumer', subject: 'send buffers', title: said, evidence })
        : quiet(NAME, growth.answer, said, { evidence }),
    ];
  },
};

/** Between two reads of a slow peer none may look slow for a moment. */
function sayWaiting(bytes: number, slow: number): string {
  if (bytes < 1024) return 'nothing waits to be sent';
  const peers = slow === 0 ? '' : ` to ${formatCount(slow)} slow ${slow === 1 ? 'peer' : 'peers'}`;
  return `${formatBytes(bytes)} wait to be sent${peers}`;
}
