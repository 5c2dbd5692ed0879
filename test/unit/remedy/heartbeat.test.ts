import { heartbeat } from '../../../src/remedy/heartbeat.ts';
import { createFakeClock } from '../../support/fake-clock.ts';
import { FakeServer, FakeWebSocket } from '../../support/web-sockets.ts';

const INTERVAL_MS = 30_000;

function setUp(options = {}) {
  const clock = createFakeClock();
  const server = new FakeServer();
  const dead: unknown[] = [];
  const dispose = heartbeat(server, { onDead: (ws) => dead.push(ws), ...options }, clock);
  const connect = (): FakeWebSocket => {
    const ws = new FakeWebSocket();
    server.emit('connection', ws);
    return ws;
  };
  return { clock, server, dead, dispose, connect };
}

test('a client that replies to every ping stays', () => {
  const { clock, connect, dead } = setUp();
  const ws = connect();
  for (let round = 0; round < 20; round += 1) {
    clock.advance(INTERVAL_MS);
    ws.emit('pong');
  }
  expect(ws.pings).toBe(20);
  expect(dead).toEqual([]);
});

test('a silent client is terminated within two intervals, and onDead gets it once', () => {
  const { clock, connect, dead } = setUp();
  const ws = connect();
  clock.advance(2 * INTERVAL_MS);
  expect(dead).toEqual([ws]);
  expect(ws.readyState).toBe(3);
  clock.advance(10 * INTERVAL_MS);
  expect(dead).toEqual([ws]);
  expect(ws.pings).toBe(1);
});

test.each(['message', 'ping'])('a client that sends a %s is alive without a pong', (event) => {
  const { clock, connect, dead } = setUp();
  const ws = connect();
  for (let round = 0; round < 5; round += 1) {
    clock.advance(INTERVAL_MS);
    ws.emit(event);
  }
  expect(dead).toEqual([]);
});

test('an idle limit below two intervals ends a silent client earlier than the pings do', () => {
  const { clock, connect, dead } = setUp({ intervalMs: 40_000, idleTimeoutMs: 35_000 });
  connect();
  clock.advance(40_000);
  expect(dead).toHaveLength(1);
});

test('a paused client is not terminated, because its pong cannot be emitted', () => {
  const { clock, connect, dead } = setUp();
  const ws = connect();
  ws.isPaused = true;
  clock.advance(10 * INTERVAL_MS);
  expect(dead).toEqual([]);
  ws.isPaused = false;
  clock.advance(3 * INTERVAL_MS);
  expect(dead).toEqual([ws]);
});

test('after a blocked event loop nobody is terminated, because the pongs were not read yet', () => {
  const clock = createFakeClock();
  let sweep = (): void => undefined;
  let nowMs = 0;
  const blockable = {
    ...clock,
    nowMs: () => nowMs,
    every: (_ms: number, task: () => void) => {
      sweep = task;
      return () => undefined;
    },
  };
  const server = new FakeServer();
  const dead: unknown[] = [];
  heartbeat(server, { onDead: (ws) => dead.push(ws) }, blockable);
  const ws = new FakeWebSocket();
  server.emit('connection', ws);
  nowMs = INTERVAL_MS;
  sweep();
  nowMs = INTERVAL_MS * 4;
  sweep();
  expect(dead).toEqual([]);
  nowMs = INTERVAL_MS * 5;
  sweep();
  expect(dead).toEqual([ws]);
});

test('clients from before the call are watched, and the server needs no client tracking', () => {
  const clock = createFakeClock();
  const server = new FakeServer();
  const early = new FakeWebSocket();
  server.clients.add(early);
  heartbeat(server, {}, clock);
  const untracked = new FakeWebSocket();
  server.emit('connection', untracked);
  clock.advance(2 * INTERVAL_MS);
  expect([early.readyState, untracked.readyState]).toEqual([3, 3]);
});

test('an onDead that throws becomes a warning and stops no other client', () => {
  const warn = jest.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
  const { clock, connect } = setUp({
    onDead: () => {
      throw new Error('broken callback');
    },
  });
  const clients = [connect(), connect()];
  clock.advance(2 * INTERVAL_MS);
  expect(clients.map(({ readyState }) => readyState)).toEqual([3, 3]);
  expect(warn).toHaveBeenCalledTimes(2);
  expect(String(warn.mock.calls[0]![0])).toContain('broken callback');
  warn.mockRestore();
});

test('its listeners leave with the connection, and all of them with dispose', () => {
  const { clock, server, connect, dispose } = setUp();
  const [first, second] = [connect(), connect()];
  first.terminate();
  expect(first.eventNames()).toEqual([]);
  dispose();
  expect(second.eventNames()).toEqual([]);
  expect(server.listenerCount('connection')).toBe(0);
  clock.advance(10 * INTERVAL_MS);
  expect(second.readyState).toBe(1);
});

test('a closed client whose listeners the application removed is forgotten at the next ping', () => {
  const { clock, connect, dead } = setUp();
  const ws = connect();
  ws.removeAllListeners();
  ws.terminate();
  clock.advance(3 * INTERVAL_MS);
  expect([dead, ws.pings]).toEqual([[], 0]);
});
