import { ConnectionRegistry, type Connection } from '../../../src/remedy/connection-registry.ts';
import { Rooms } from '../../../src/remedy/rooms.ts';
import { createFakeClock } from '../../support/fake-clock.ts';
import { FakeWebSocket, requestWith } from '../../support/web-sockets.ts';

function setUp(options = {}) {
  const clock = createFakeClock();
  const removed: Connection[] = [];
  const registry = new ConnectionRegistry(
    { onRemoved: (connection) => removed.push(connection), ...options },
    clock,
  );
  return { clock, registry, removed };
}

test('a connection has the id of its header, its address and its counts', () => {
  const { clock, registry } = setUp();
  const ws = new FakeWebSocket();
  const connection = registry.add(ws, requestWith({ 'x-client-id': 'sensor-17' }))!;
  clock.advance(1_000);
  ws.emit('message', 'hello');
  ws.emit('pong');
  expect(connection).toMatchObject({ id: 'sensor-17', ws, ip: '10.0.0.1', messageCount: 1 });
  expect(connection.lastActivityMs - connection.connectedAtMs).toBe(1_000);
  expect(registry.get('sensor-17')).toBe(connection);
});

test.each([
  ['no header', {}],
  ['a header with control characters', { 'x-client-id': 'a\u001b[31m' }],
  ['a header of 129 characters', { 'x-client-id': 'x'.repeat(129) }],
])('%s: the id is a UUID', (_name, headers) => {
  const { registry } = setUp();
  expect(registry.add(new FakeWebSocket(), requestWith(headers))!.id).toMatch(/^[0-9a-f]{8}-[0-9a-f-]{27}$/);
});

test('X-Forwarded-For counts only behind a trusted proxy', () => {
  const headers = { 'x-forwarded-for': '203.0.113.7, 10.0.0.2' };
  const plain = setUp().registry.add(new FakeWebSocket(), requestWith(headers))!;
  const proxied = setUp({ trustProxy: true }).registry.add(new FakeWebSocket(), requestWith(headers))!;
  expect([plain.ip, proxied.ip]).toEqual(['10.0.0.1', '203.0.113.7']);
});

test('a second connection of an id replaces the first, whose late close removes nothing', () => {
  const { registry, removed } = setUp();
  const [first, second] = [new FakeWebSocket(), new FakeWebSocket()];
  const request = requestWith({ 'x-client-id': 'a' });
  const former = registry.add(first, request)!;
  const successor = registry.add(second, request);
  expect(first.closed).toEqual({ code: 1000, reason: 'replaced by a new connection' });
  first.finishClose();
  expect(registry.get('a')).toBe(successor);
  expect(removed).toEqual([former]);
  expect(registry.getStats()).toMatchObject({ active: 1, totalAdded: 2, totalRemoved: 1, totalReplaced: 1 });
});

/** All orders of `events`, and each event twice in a row. */
const ordersOf = (events: readonly string[]): string[][] =>
  events.length <= 1
    ? [[...events, ...events]]
    : events.flatMap((first) =>
        ordersOf(events.filter((event) => event !== first)).map((rest) => [first, first, ...rest]),
      );

test('close, error, finish and abort in any order and twice clean up once, at the first of them', () => {
  const orders = ordersOf(['close', 'error', 'finish', 'aborted']);
  expect(orders).toHaveLength(24);
  for (const ends of orders) {
    const { registry, removed } = setUp();
    const ws = new FakeWebSocket();
    ws.on('error', () => undefined);
    const { id } = registry.add(ws, requestWith())!;
    ws.emit(ends[0]!, new Error('connection reset'));
    expect([removed.length, registry.size]).toEqual([1, 0]);
    for (const event of ends.slice(1)) ws.emit(event, new Error('connection reset'));
    expect([removed.length, registry.remove(id)]).toEqual([1, false]);
    expect(ws.eventNames()).toEqual(['error']);
  }
});

test('an error that nobody handles stays unhandled', () => {
  const { registry } = setUp();
  const ws = new FakeWebSocket();
  registry.add(ws, requestWith());
  expect(() => ws.emit('error', new Error('connection reset'))).toThrow('connection reset');
  expect(registry.size).toBe(0);
});

test.each([2, 3])('a WebSocket of readyState %i, which emits no more close, is not added', (readyState) => {
  const { registry } = setUp();
  const ws = Object.assign(new FakeWebSocket(), { readyState });
  expect(registry.add(ws, requestWith())).toBeNull();
  expect([registry.size, ws.eventNames()]).toEqual([0, []]);
});

test('a change of the system time makes no connection idle', () => {
  const clock = createFakeClock();
  let skewMs = 0;
  const registry = new ConnectionRegistry({}, { ...clock, wallMs: () => clock.wallMs() + skewMs });
  const ws = new FakeWebSocket();
  registry.add(ws, requestWith());
  skewMs = 86_400_000;
  clock.advance(120_000);
  expect(ws.closed).toBeNull();
});

test.each([
  ['maxConnections', { maxConnections: 0 }],
  ['idleTimeoutMs', { idleTimeoutMs: NaN }],
  ['sweepIntervalMs', { sweepIntervalMs: Infinity }],
])('%s that cannot be used is an error', (_name, options) => {
  expect(() => new ConnectionRegistry(options)).toThrow(
    expect.objectContaining({ code: 'WSGUARD_REMEDY_ARGUMENT' }),
  );
});

test('a full registry closes the next connection with 1013 and lets a replacement in', () => {
  const { registry } = setUp({ maxConnections: 2 });
  registry.add(new FakeWebSocket(), requestWith({ 'x-client-id': 'a' }));
  registry.add(new FakeWebSocket(), requestWith({ 'x-client-id': 'b' }));
  const refused = new FakeWebSocket();
  expect(registry.add(refused, requestWith({ 'x-client-id': 'c' }))).toBeNull();
  expect(refused.closed?.code).toBe(1013);
  expect(registry.add(new FakeWebSocket(), requestWith({ 'x-client-id': 'a' }))).not.toBeNull();
  expect(registry.getStats()).toMatchObject({ active: 2, totalRefused: 1 });
});

test('a connection that is silent for 300 s is closed at the next sweep; a pong keeps it', () => {
  const { clock, registry } = setUp();
  const [silent, alive] = [new FakeWebSocket(), new FakeWebSocket()];
  registry.add(silent, requestWith());
  registry.add(alive, requestWith());
  for (let minute = 0; minute < 6; minute += 1) {
    clock.advance(60_000);
    alive.emit('pong');
  }
  expect(silent.closed).toEqual({ code: 1000, reason: 'idle' });
  expect(alive.closed).toBeNull();
  expect(registry.getStats()).toMatchObject({ active: 1, totalIdle: 1 });
});

test('a connection whose listeners the application removed is cleaned up at the next sweep', () => {
  const { clock, registry, removed } = setUp();
  const ws = new FakeWebSocket();
  registry.add(ws, requestWith());
  ws.removeAllListeners();
  ws.terminate();
  clock.advance(60_000);
  expect([registry.size, removed.length, registry.getStats().totalIdle]).toEqual([0, 1, 0]);
});

test('close forgets all connections and leaves them open', () => {
  const { clock, registry, removed } = setUp();
  const ws = new FakeWebSocket();
  registry.add(ws, requestWith());
  registry.close();
  expect([registry.size, removed.length, ws.readyState, ws.eventNames()]).toEqual([0, 1, 1, []]);
  clock.advance(1_000_000);
  expect(ws.closed).toBeNull();
});

test('pending keeps the newest 100 messages', () => {
  const { registry } = setUp();
  const { pending } = registry.add(new FakeWebSocket(), requestWith())!;
  for (let n = 0; n < 150; n += 1) pending.queue(String(n));
  expect(pending.getStats()).toMatchObject({ queued: 100, totalDropped: 50 });
});

describe('Rooms', () => {
  const member = (): { rooms: Set<string> } => ({ rooms: new Set() });

  test('a room exists from its first member to its last', () => {
    const rooms = new Rooms();
    const [a, b] = [member(), member()];
    rooms.join('x', a);
    rooms.join('x', b);
    rooms.leave('x', a);
    expect([rooms.size, [...rooms.members('x')]]).toEqual([1, [b]]);
    rooms.leave('x', b);
    expect([rooms.size, rooms.members('x').size, a.rooms.size, b.rooms.size]).toEqual([0, 0, 0, 0]);
  });

  test('leaveAll empties every room of a connection, twice without harm', () => {
    const rooms = new Rooms();
    const connection = member();
    for (const room of ['x', 'y', 'z']) rooms.join(room, connection);
    rooms.leaveAll(connection);
    rooms.leaveAll(connection);
    expect([rooms.size, connection.rooms.size]).toEqual([0, 0]);
  });

  test('a connection that has closed, while the server looked up its rights, does not join', () => {
    const { registry } = setUp();
    const rooms = new Rooms<Connection>();
    const ws = new FakeWebSocket();
    const connection = registry.add(ws, requestWith())!;
    ws.terminate();
    rooms.join('x', connection);
    expect([rooms.size, connection.rooms.size]).toEqual([0, 0]);
  });

  test('leaving a room that does not exist does nothing', () => {
    const rooms = new Rooms();
    rooms.leave('x', member());
    expect(rooms.size).toBe(0);
  });
});
