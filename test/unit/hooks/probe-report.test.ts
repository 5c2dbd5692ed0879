import { ConnectionTotals, type ConnectionSums } from '../../../src/hooks/connections/connection-totals.ts';
import type { ProbeGroup } from '../../../src/hooks/connections/connection.ts';
import { suspicionProbesOf, unprobedPeers } from '../../../src/hooks/connections/probe-report.ts';

const sumsWith = (groups: Partial<Record<ProbeGroup, number>>, sse = 0): ConnectionSums => {
  const empty = new ConnectionTotals().read();
  return {
    ...empty,
    active: { ...empty.active, sse },
    byProbeGroup: { ...empty.byProbeGroup, ...groups },
  };
};

test('without connections that are probed under suspicion only, the sample has no numbers of them', () => {
  expect(suspicionProbesOf(sumsWith({ scheduled: 9, timeout: 2, 'no-ping': 1 }))).toBeNull();
});

test('silent, probed, without a reply, and with half a heartbeat: each includes the next', () => {
  const sums = sumsWith({ waiting: 100, probed: 20, unresponsive: 3, 'half-heartbeat': 7 });
  expect(suspicionProbesOf(sums)).toEqual({ silent: 130, probed: 30, unanswering: 10, halfHeartbeat: 7 });
});

test('a process whose peers can all be probed has no blind spot', () => {
  expect(unprobedPeers(sumsWith({ scheduled: 5, probed: 2, unresponsive: 1 }), 0)).toEqual([]);
});

test.each<[string, ConnectionSums, number, RegExp]>([
  ['event streams', sumsWith({}, 1), 0, /event streams has no ping/],
  ['long polling', sumsWith({}), 1, /long polling has no ping/],
  ['an unknown library', sumsWith({ 'no-ping': 1 }), 0, /does not know their library/],
  ['a socket timeout', sumsWith({ timeout: 1 }), 0, /restart the timeout/],
  ['pongs of the application', sumsWith({ waiting: 1 }), 0, /pings only while it suspects a leak/],
])('%s: one row with the reason', (_case, sums, polling, reason) => {
  const rows = unprobedPeers(sums, polling);
  expect(rows).toHaveLength(1);
  expect(rows[0]?.why).toMatch(reason);
});
