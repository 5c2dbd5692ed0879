import { ConnectionTotals } from '../../../src/hooks/connections/connection-totals.ts';
import { connectionWith } from '../../support/connections.ts';

const NONE = { websocket: 0, sse: 0, polling: 0, upgraded: 0 };

test('opened, closed and active connections are counted per transport', () => {
  const totals = new ConnectionTotals();
  const [first, second, stream] = [
    connectionWith(),
    connectionWith(),
    connectionWith({ transport: 'sse', liveness: 'unknown' }),
  ];
  for (const connection of [first, second, stream]) totals.addOpened(connection);
  totals.addClosed(first);
  expect(totals.read()).toMatchObject({
    active: { ...NONE, websocket: 1, sse: 1 },
    opened: { ...NONE, websocket: 2, sse: 1 },
    closed: { ...NONE, websocket: 1 },
    unresponsive: 0,
    unknown: 1,
    sendBufferBytes: 0,
    slow: 0,
  });
  expect(totals.active('websocket')).toBe(1);
});

test('a change of liveness moves a connection from one sum to the other', () => {
  const totals = new ConnectionTotals();
  const connection = connectionWith();
  totals.addOpened(connection);
  totals.setLiveness(connection, 'unresponsive');
  expect(connection.liveness).toBe('unresponsive');
  expect(totals.read()).toMatchObject({ unresponsive: 1, unknown: 0 });
  totals.setLiveness(connection, 'unresponsive');
  totals.setLiveness(connection, 'unknown');
  expect(totals.read()).toMatchObject({ unresponsive: 0, unknown: 1 });
});

test('a close takes back everything that the connection added', () => {
  const totals = new ConnectionTotals();
  const connection = connectionWith();
  totals.addOpened(connection);
  connection.sendBufferBytes = 700;
  totals.addSendBuffer(700);
  totals.setLiveness(connection, 'unresponsive');
  totals.setSlow(connection, true);
  expect(totals.read()).toMatchObject({ sendBufferBytes: 700, unresponsive: 1, slow: 1 });
  expect(totals.isSlow(connection)).toBe(true);
  totals.addClosed(connection);
  expect(totals.read()).toMatchObject({ sendBufferBytes: 0, unresponsive: 0, slow: 0 });
});

test('a connection that is slow twice counts once, and stops counting when it is not', () => {
  const totals = new ConnectionTotals();
  const connection = connectionWith();
  totals.setSlow(connection, true);
  totals.setSlow(connection, true);
  expect(totals.read().slow).toBe(1);
  totals.setSlow(connection, false);
  expect(totals.read().slow).toBe(0);
});

test('a reading does not change later', () => {
  const totals = new ConnectionTotals();
  const before = totals.read();
  totals.addOpened(connectionWith());
  expect(before).toMatchObject({ active: NONE, opened: NONE });
});

test('connections are counted by probe group, and a sample is drawn from those without a recent probe', () => {
  const totals = new ConnectionTotals();
  const [first, second, third] = [connectionWith(), connectionWith(), connectionWith()];
  for (const connection of [first, second, third]) totals.addOpened(connection);
  totals.setProbeGroup(first, 'waiting');
  totals.setProbeGroup(second, 'probed');
  totals.setProbeGroup(second, 'probed');
  totals.setProbeGroup(third, 'half-heartbeat');
  expect(totals.read().byProbeGroup).toMatchObject({
    scheduled: 0,
    waiting: 1,
    probed: 1,
    'half-heartbeat': 1,
  });
  expect(totals.unprobed()).toBe(1);
  totals.addClosed(third);
  expect(totals.inProbeGroup('half-heartbeat')).toBe(0);
});
