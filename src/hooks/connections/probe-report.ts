/** Reports for the sample what the probes cover, and for `blind` which open peers the agent cannot probe. */
import type { Blind, SuspicionProbes } from '../../types/index.ts';
import type { ConnectionSums } from './connection-totals.ts';

/** Null where every silent connection is pinged on the schedule or cannot be pinged. */
export function suspicionProbesOf({ byProbeGroup }: ConnectionSums): SuspicionProbes | null {
  const { waiting, probed, unresponsive, 'half-heartbeat': halfHeartbeat } = byProbeGroup;
  const unanswering = unresponsive + halfHeartbeat;
  const silent = waiting + probed + unanswering;
  return silent === 0 ? null : { silent, probed: probed + unanswering, unanswering, halfHeartbeat };
}

/** One row for each reason, as soon as there are such peers. */
export function unprobedPeers({ active, byProbeGroup }: ConnectionSums, polling: number): Blind[] {
  const rows: [count: number, row: Blind][] = [
    [
      active.sse,
      { what: 'whether peers of event streams respond', why: 'the protocol of event streams has no ping' },
    ],
    [polling, { what: 'whether peers of long polling respond', why: 'long polling has no ping' }],
    [
      byProbeGroup['no-ping'],
      {
        what: 'whether silent peers of some upgraded connections respond',
        why: 'the agent does not know their library, or it offers no ping',
      },
    ],
    [
      byProbeGroup.timeout,
      {
        what: 'whether silent peers with a socket timeout respond',
        why: 'a ping would restart the timeout that the application has set',
      },
    ],
    [
      byProbeGroup.waiting,
      {
        what: 'whether some silent peers respond',
        why: 'the application listens for their pongs, or a library may ping them, so the agent pings only while it suspects a leak',
      },
    ],
  ];
  return rows.flatMap(([count, row]) => (count > 0 ? [row] : []));
}
