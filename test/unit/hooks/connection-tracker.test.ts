import { EventEmitter } from 'node:events';
import type { Duplex } from 'node:stream';
import { createGuard } from '../../../src/core/guard.ts';
import { ConnectionTracker } from '../../../src/hooks/connections/connection-tracker.ts';
import { livenessRules } from '../../../src/hooks/connections/liveness.ts';
import { RetainedConnections } from '../../../src/hooks/connections/retained-connections.ts';
import { SocketTracker } from '../../../src/hooks/connections/socket-tracker.ts';
import { peerKey } from '../../../src/hooks/connections/tcp-table.ts';
import { WsInstrumentation } from '../../../src/hooks/connections/ws-instrumentation.ts';
import { createFakeClock } from '../../support/fake-clock.ts';
import { fakeWebSocketClass, FakeSocket, type FakeWebSocket } from '../../support/connections.ts';

const MINUTE_MS = 60_000;
const STREAM_HEADER = 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n';
const NONE = { websocket: 0, sse: 0, polling: 0, upgraded: 0 };

const stops: (() => void)[] = [];
afterEach(() => {
  for (const stop of stops.splice(0)) stop();
  jest.restoreAllMocks();
});

function setUp(config: { ping: 'auto' | 'off' } = { ping: 'auto' }) {
  const clock = createFakeClock();
  const faults: string[] = [];
  const guard = createGuard(({ part }) => faults.push(part));
  const sockets = new SocketTracker(guard, () => undefined);
  const retained = new RetainedConnections(0);
  const instrumentation = new WsInstrumentation(clock, sockets.open);
  const rules = livenessRules({ timeScale: 1, ...config });
  const libraryServers: object[] = [];
  const servers = (): object[] => libraryServers;
  const deps = { clock, guard, sockets, rules, instrumentation, retained, servers };
  const tracker = new ConnectionTracker(deps);
  sockets.observe(tracker);
  stops.push(() => sockets.stop());
  const FakeWebSocket = fakeWebSocketClass();

  const open = (fields: Partial<FakeSocket> = {}): FakeSocket => {
    const socket = Object.assign(new FakeSocket(), fields);
    sockets.add(socket.asSocket);
    return socket;
  };
  const openWebSocket = (): { socket: FakeSocket; ws: FakeWebSocket } => {
    const socket = new FakeSocket();
    const ws = new FakeWebSocket(socket);
    sockets.add(socket.asSocket);
    return { socket, ws };
  };
  const openStream = (fields: Partial<FakeSocket> = {}): FakeSocket =>
    open({ parser: {}, _httpMessage: { writableEnded: false, _header: STREAM_HEADER }, ...fields });
  /** Runs all slices; returns their number. */
  const run = (slice: () => boolean): number => {
    let slices = 1;
    while (!slice()) slices += 1;
    return slices;
  };
  const classify = (): number => run(() => tracker.classifySlice());
  const sweep = (): number => run(() => tracker.sweepSlice());
  return {
    clock,
    faults,
    sockets,
    retained,
    tracker,
    libraryServers,
    open,
    openWebSocket,
    openStream,
    classify,
    sweep,
  };
}
const pingsOf = (ws: FakeWebSocket): number => ws.calls.filter(([method]) => method === 'ping').length;

describe('open and closed', () => {
  test('a WebSocket is counted when new sockets are classified, and again when it closes', () => {
    const { tracker, openWebSocket, classify } = setUp();
    const { socket, ws } = openWebSocket();
    expect(tracker.read().opened).toEqual(NONE);
    classify();
    expect(tracker.read()).toMatchObject({ active: { ...NONE, websocket: 1 }, unresponsive: 0, unknown: 0 });
    socket.emit('close');
    ws.emit('close', 1001);
    expect(tracker.read()).toMatchObject({
      active: NONE,
      opened: { ...NONE, websocket: 1 },
      closed: { ...NONE, websocket: 1 },
    });
    expect(tracker.closeCodes).toEqual({ 1001: 1 });
  });

  test('a connection that closes before it was classified is counted', () => {
    const { tracker, openWebSocket, openStream, open } = setUp();
    openWebSocket().socket.emit('close');
    openStream().emit('close');
    open({ parser: {} }).emit('close');
    expect(tracker.read()).toMatchObject({
      opened: { ...NONE, websocket: 1, sse: 1 },
      closed: { ...NONE, websocket: 1, sse: 1 },
    });
  });

  test('an upgrade counts from the second look on', () => {
    const { tracker, open, classify } = setUp();
    open();
    tracker.classifySlice();
    expect(tracker.read().active).toEqual(NONE);
    classify();
    expect(tracker.read().active).toEqual({ ...NONE, upgraded: 1 });
  });

  test('an upgrade that becomes a WebSocket is closed as the one and opened as the other', () => {
    const { tracker, open, classify, sweep } = setUp();
    const socket = open();
    classify();
    classify();
    void new (fakeWebSocketClass())(socket);
    sweep();
    expect(tracker.read()).toMatchObject({
      active: { ...NONE, websocket: 1 },
      opened: { ...NONE, upgraded: 1, websocket: 1 },
    });
  });

  test('an event stream that ends closes its connection though the socket stays open', () => {
    const { tracker, openStream, classify, sweep } = setUp();
    const socket = openStream();
    classify();
    expect(tracker.read().active).toEqual({ ...NONE, sse: 1 });
    socket._httpMessage = null;
    sweep();
    expect(tracker.read()).toMatchObject({ active: NONE, closed: { ...NONE, sse: 1 } });
  });

  test('a destroyed socket whose close listeners were removed is closed by the next sweep', () => {
    const { tracker, sockets, openWebSocket, classify, sweep } = setUp();
    const { socket } = openWebSocket();
    classify();
    socket.removeAllListeners();
    socket.destroyed = true;
    sweep();
    expect(tracker.read()).toMatchObject({ active: NONE, closed: { ...NONE, websocket: 1 } });
    expect(sockets.open.size).toBe(0);
  });

  test('a socket that was sent to another process is let go by the next slice, and counts as closed if it was counted', () => {
    const { open, openWebSocket, classify, sweep, tracker, sockets } = setUp();
    const plain = open();
    plain._handle = null;
    classify();
    expect(sockets.open.has(plain.asSocket)).toBe(false);
    const { socket } = openWebSocket();
    classify();
    socket._handle = null;
    sweep();
    expect(sockets.open.size).toBe(0);
    expect(tracker.read()).toMatchObject({ active: NONE, closed: { ...NONE, websocket: 1 } });
  });

  test('a socket that closed between two slices is left out', () => {
    const { tracker, openWebSocket, classify } = setUp();
    const { socket } = openWebSocket();
    socket.emit('close');
    classify();
    expect(tracker.read().opened).toEqual({ ...NONE, websocket: 1 });
  });

  test('a closed connection is passed on to the retained connections', () => {
    const { tracker, retained, openWebSocket, classify } = setUp();
    const { socket, ws } = openWebSocket();
    classify();
    socket.emit('close');
    retained.setMajorGcs(0);
    retained.setMajorGcs(2);
    retained.checkSlice(MINUTE_MS, 10);
    expect(retained.read()).toEqual({ retained: 1, uncollected: 1 });
    expect(ws.calls).toEqual([]);
    expect(tracker.closeCodes).toEqual({});
  });
});

describe('durations', () => {
  const countsOf = (tracker: ConnectionTracker): object =>
    Object.fromEntries(
      tracker.durations
        .read()
        .map(({ transport, status, durations }) => [`${transport} ${status}`, durations.sumSeconds]),
    );

  test('start when the socket was accepted, not when it was classified, and are counted with the code', () => {
    const { clock, tracker, openWebSocket, classify } = setUp();
    const { socket, ws } = openWebSocket();
    clock.advance(1_000);
    classify();
    clock.advance(MINUTE_MS);
    socket.emit('close');
    expect(countsOf(tracker)).toEqual({});
    ws.emit('close', 1000);
    ws.emit('close', 1000);
    expect(countsOf(tracker)).toEqual({ 'websocket normal_closure': 61 });
  });

  test('of an upgrade that becomes a WebSocket go on', () => {
    const { clock, tracker, open, classify, sweep } = setUp();
    const socket = open();
    classify();
    classify();
    const ws = new (fakeWebSocketClass())(socket);
    clock.advance(1_000);
    sweep();
    expect(countsOf(tracker)).toEqual({});
    clock.advance(1_000);
    socket.emit('close');
    ws.emit('close', 1006);
    expect(countsOf(tracker)).toEqual({ 'websocket abnormal': 2 });
  });

  test('of event streams on a kept-alive socket are counted for each stream', () => {
    const { clock, tracker, openStream, classify, sweep } = setUp();
    const socket = openStream();
    const stream = socket._httpMessage;
    classify();
    clock.advance(5_000);
    socket._httpMessage = null;
    sweep();
    clock.advance(MINUTE_MS);
    socket._httpMessage = { ...stream };
    sweep();
    clock.advance(7_000);
    socket.errored = new Error('read ECONNRESET');
    socket.emit('close');
    expect(countsOf(tracker)).toEqual({ 'sse normal_closure': 5, 'sse abnormal': 7 });
  });

  test('of a connection that was sent to another process, or whose watch ended, are not counted', () => {
    const { clock, tracker, open, openWebSocket, classify, sweep } = setUp();
    const { socket } = openWebSocket();
    const watched = open({ parser: {} });
    const dispose = tracker.watch(watched.asSocket as never);
    classify();
    clock.advance(1_000);
    socket._handle = null;
    sweep();
    dispose();
    expect(tracker.read().closed).toEqual({ ...NONE, websocket: 1, upgraded: 1 });
    expect(countsOf(tracker)).toEqual({});
  });

  test('getters of the application are not called', () => {
    const { faults, tracker, openWebSocket, classify } = setUp();
    const { socket, ws } = openWebSocket();
    classify();
    Object.defineProperty(socket, 'server', {
      get() {
        throw new Error('code of the application');
      },
    });
    socket.emit('close');
    ws.emit('close', 1000);
    expect(faults).toEqual([]);
    expect(countsOf(tracker)).toEqual({ 'websocket normal_closure': 0 });
  });
});

describe('slices', () => {
  test('a sweep looks at 1,000 sockets per slice', () => {
    const { openStream, classify, sweep, tracker } = setUp();
    for (let n = 0; n < 2_500; n += 1) openStream();
    expect(classify()).toBe(3);
    expect(tracker.read().active).toEqual({ ...NONE, sse: 2_500 });
    expect(sweep()).toBe(3);
  });

  test('a slice ends after a millisecond', () => {
    const { clock, openStream, classify } = setUp();
    for (let n = 0; n < 100; n += 1) openStream();
    let nowMs = 0;
    jest.spyOn(clock, 'nowMs').mockImplementation(() => (nowMs += 0.6));
    // The clock is read at the start of a slice and after every 16 sockets.
    expect(classify()).toBe(4);
  });

  test('one connection with a fault does not stop the others', () => {
    const { faults, tracker, openWebSocket, classify, sweep } = setUp();
    const [first, second, third] = [openWebSocket(), openWebSocket(), openWebSocket()];
    classify();
    Object.defineProperty(second.socket, '_handle', {
      get() {
        throw new Error('code of the application');
      },
    });
    first.ws.bufferedAmount = 10;
    third.ws.bufferedAmount = 20;
    sweep();
    expect(tracker.read().sendBufferBytes).toBe(30);
    expect(faults).toEqual(['connection']);
  });
});

describe('pings', () => {
  test('a silent WebSocket is pinged after three minutes, and again five minutes later', () => {
    const { clock, openWebSocket, classify, sweep, tracker } = setUp();
    const { socket, ws } = openWebSocket();
    classify();
    clock.advance(3 * MINUTE_MS - 1);
    sweep();
    expect(pingsOf(ws)).toBe(0);
    clock.advance(1);
    sweep();
    expect(pingsOf(ws)).toBe(1);
    socket.bytesRead += 6;
    sweep();
    clock.advance(4 * MINUTE_MS);
    sweep();
    expect(pingsOf(ws)).toBe(1);
    clock.advance(MINUTE_MS);
    sweep();
    expect(pingsOf(ws)).toBe(2);
    expect(tracker.read()).toMatchObject({ unresponsive: 0, unknown: 0 });
  });

  test('a peer that sends nothing within a minute is unresponsive until it sends again', () => {
    const { clock, openWebSocket, classify, sweep, tracker } = setUp();
    const { socket } = openWebSocket();
    classify();
    clock.advance(3 * MINUTE_MS);
    sweep();
    clock.advance(MINUTE_MS + 1);
    sweep();
    expect(tracker.read().unresponsive).toBe(1);
    socket.bytesRead += 6;
    sweep();
    expect(tracker.read().unresponsive).toBe(0);
  });

  test('a stall of the event loop gives the peers new time', () => {
    const { clock, openWebSocket, classify, sweep, tracker } = setUp();
    openWebSocket();
    classify();
    clock.advance(3 * MINUTE_MS);
    sweep();
    clock.advance(MINUTE_MS + 1);
    tracker.noteStall(clock.nowMs());
    sweep();
    expect(tracker.read().unresponsive).toBe(0);
    clock.advance(MINUTE_MS + 1);
    sweep();
    expect(tracker.read().unresponsive).toBe(1);
  });

  test.each<[string, (peer: { socket: FakeSocket; ws: FakeWebSocket }) => void]>([
    ['the socket has a timeout', ({ socket }) => void (socket.timeout = 600_000)],
    ['the application does not read', ({ socket }) => void (socket.paused = true)],
    ['the WebSocket is closing', ({ ws }) => void (ws.readyState = 2)],
  ])('none where %s: the peer cannot be probed', (_case, change) => {
    const { clock, openWebSocket, classify, sweep, tracker } = setUp();
    const peer = openWebSocket();
    classify();
    change(peer);
    clock.advance(10 * MINUTE_MS);
    tracker.setPingEveryone(true);
    sweep();
    expect(pingsOf(peer.ws)).toBe(0);
    expect(tracker.read()).toMatchObject({ unresponsive: 0, unknown: 1 });
  });

  test('none where the application pings: its own pings tell', () => {
    const { clock, openWebSocket, classify, sweep, tracker } = setUp();
    const { ws } = openWebSocket();
    classify();
    ws.ping();
    clock.advance(4 * MINUTE_MS);
    sweep();
    expect(pingsOf(ws)).toBe(1);
    expect(tracker.read().unresponsive).toBe(1);
  });

  test('none with WSGUARD_PING=off', () => {
    const { clock, openWebSocket, classify, sweep, tracker } = setUp({ ping: 'off' });
    const { ws } = openWebSocket();
    classify();
    clock.advance(10 * MINUTE_MS);
    sweep();
    expect(pingsOf(ws)).toBe(0);
    expect(tracker.read()).toMatchObject({ unresponsive: 0, unknown: 1 });
  });

  test('a ping of a socket with a timeout is counted as impossible', () => {
    const { clock, openWebSocket, classify, sweep, tracker } = setUp();
    openWebSocket().socket.timeout = 600_000;
    classify();
    clock.advance(10 * MINUTE_MS);
    sweep();
    expect(tracker.read().byProbeGroup).toMatchObject({ scheduled: 0, timeout: 1 });
  });

  test('under suspicion once a minute', () => {
    const { clock, openWebSocket, classify, sweep, tracker } = setUp();
    const { socket, ws } = openWebSocket();
    classify();
    tracker.setSuspicion(true);
    clock.advance(3 * MINUTE_MS);
    sweep();
    for (let minute = 0; minute < 3; minute += 1) {
      clock.advance(MINUTE_MS);
      sweep();
    }
    expect(pingsOf(ws)).toBe(4);
    tracker.setSuspicion(false);
    clock.advance(MINUTE_MS);
    sweep();
    expect(pingsOf(ws)).toBe(4);
    expect(socket.bytesRead).toBe(0);
  });

  test('under suspicion a random sample of about 200', () => {
    const { clock, openWebSocket, classify, sweep, tracker } = setUp();
    const peers = Array.from({ length: 1_000 }, openWebSocket);
    classify();
    clock.advance(3 * MINUTE_MS);
    sweep();
    const random = jest.spyOn(Math, 'random');
    peers.forEach((_, n) => random.mockImplementationOnce(() => n / 1_000));
    tracker.setSuspicion(true);
    clock.advance(MINUTE_MS);
    sweep();
    expect(peers.filter(({ ws }) => pingsOf(ws) === 2)).toHaveLength(200);
  });

  test('everyone who has no unanswered ping before an alert', () => {
    const { clock, openWebSocket, classify, sweep, tracker } = setUp();
    const [replied, waiting] = [openWebSocket(), openWebSocket()];
    classify();
    clock.advance(3 * MINUTE_MS);
    sweep();
    replied.socket.bytesRead += 6;
    sweep();
    clock.advance(3.5 * MINUTE_MS);
    tracker.setPingEveryone(true);
    sweep();
    tracker.setPingEveryone(false);
    sweep();
    expect([pingsOf(replied.ws), pingsOf(waiting.ws)]).toEqual([2, 1]);
  });
});

describe('half a heartbeat: the application listens for pongs and never pings', () => {
  const payloadOf = (ws: FakeWebSocket): unknown => ws.calls.at(-1)?.[2];

  function setUpSilent() {
    const setup = setUp();
    const peer = setup.openWebSocket();
    const pongs: unknown[] = [];
    peer.ws.on('pong', (data) => pongs.push(data));
    setup.classify();
    setup.clock.advance(10 * MINUTE_MS);
    setup.sweep();
    return { ...setup, ...peer, pongs };
  }

  test('no ping on the schedule: the peer is unknown', () => {
    const { tracker, ws } = setUpSilent();
    expect(pingsOf(ws)).toBe(0);
    expect(tracker.read()).toMatchObject({ unresponsive: 0, unknown: 1, byProbeGroup: { waiting: 1 } });
  });

  test('under suspicion one ping, and another one five minutes after its reply', () => {
    const { clock, sweep, tracker, socket, ws } = setUpSilent();
    tracker.setSuspicion(true);
    sweep();
    expect(pingsOf(ws)).toBe(1);
    socket.bytesRead += 22;
    for (let minute = 0; minute < 4; minute += 1) {
      clock.advance(MINUTE_MS);
      sweep();
    }
    expect(pingsOf(ws)).toBe(1);
    expect(tracker.read()).toMatchObject({ unresponsive: 0, unknown: 0, byProbeGroup: { probed: 1 } });
    clock.advance(MINUTE_MS);
    sweep();
    expect(pingsOf(ws)).toBe(2);
  });

  test('a peer that does not reply is unresponsive, and gets no second ping', () => {
    const { clock, sweep, tracker, ws } = setUpSilent();
    tracker.setSuspicion(true);
    sweep();
    for (let minute = 0; minute < 20; minute += 1) {
      clock.advance(MINUTE_MS);
      sweep();
    }
    expect(pingsOf(ws)).toBe(1);
    expect(tracker.read()).toMatchObject({ unresponsive: 1, byProbeGroup: { 'half-heartbeat': 1 } });
  });

  test('before an alert it is pinged, and its pong does not reach the application', () => {
    const { sweep, tracker, ws, pongs } = setUpSilent();
    tracker.setPingEveryone(true);
    sweep();
    expect(pingsOf(ws)).toBe(1);
    ws.emit('pong', Buffer.from(String(payloadOf(ws))));
    expect(pongs).toEqual([]);
    ws.emit('pong', Buffer.from('of the application'));
    expect(pongs).toHaveLength(1);
    expect(Object.hasOwn(ws, 'emit')).toBe(false);
  });

  test('no ping while a ping of the application has no reply', () => {
    const { clock, sweep, tracker, ws } = setUpSilent();
    ws.ping();
    clock.advance(11 * MINUTE_MS);
    tracker.setPingEveryone(true);
    sweep();
    expect(pingsOf(ws)).toBe(1);
    expect(tracker.read().unresponsive).toBe(1);
  });

  test('no further ping to a peer that replies without the payload: the application receives its pongs', () => {
    const { clock, sweep, tracker, socket, ws, pongs } = setUpSilent();
    tracker.setPingEveryone(true);
    sweep();
    socket.bytesRead += 6;
    ws.emit('pong', Buffer.alloc(0));
    expect(pongs).toHaveLength(1);
    clock.advance(10 * MINUTE_MS);
    sweep();
    clock.advance(10 * MINUTE_MS);
    sweep();
    expect(pingsOf(ws)).toBe(1);
    expect(tracker.read()).toMatchObject({ unresponsive: 0, unknown: 1 });
  });

  test('no ping where another tool has replaced `emit` of the WebSocket', () => {
    const { sweep, tracker, ws } = setUpSilent();
    const emit = ws.emit.bind(ws);
    ws.emit = emit;
    tracker.setPingEveryone(true);
    sweep();
    expect(pingsOf(ws)).toBe(0);
    expect(Object.getOwnPropertyDescriptor(ws, 'emit')?.value).toBe(emit);
    expect(tracker.read()).toMatchObject({ unresponsive: 0, unknown: 1 });
  });

  test('stop and close give back the original `emit`', () => {
    const { sweep, tracker, ws, openWebSocket, classify, clock } = setUpSilent();
    const second = openWebSocket();
    second.ws.on('pong', () => undefined);
    classify();
    clock.advance(10 * MINUTE_MS);
    tracker.setPingEveryone(true);
    sweep();
    expect(Object.hasOwn(ws, 'emit') && Object.hasOwn(second.ws, 'emit')).toBe(true);
    second.socket.emit('close');
    expect(Object.hasOwn(second.ws, 'emit')).toBe(false);
    tracker.stop();
    expect(Object.hasOwn(ws, 'emit')).toBe(false);
  });

  test('with 1,000 silent peers a sample of 200 a minute, and nobody twice', () => {
    const { clock, openWebSocket, classify, sweep, tracker } = setUp();
    const peers = Array.from({ length: 1_000 }, openWebSocket);
    for (const { ws } of peers) ws.on('pong', () => undefined);
    classify();
    clock.advance(10 * MINUTE_MS);
    sweep();
    tracker.setSuspicion(true);
    const pinged = (): number => peers.filter(({ ws }) => pingsOf(ws) > 0).length;
    // The deviations of all samples add up in what is left for a fifth one.
    for (let minute = 0; minute < 4; minute += 1) {
      const before = pinged();
      sweep();
      sweep();
      // Six standard deviations of a random sample of 200.
      expect(Math.abs(pinged() - before - 200)).toBeLessThan(76);
      clock.advance(MINUTE_MS);
    }
    expect(Math.max(...peers.map(({ ws }) => pingsOf(ws)))).toBe(1);
  });
});

describe('connections of other libraries', () => {
  const libraryConnection = (fields: object = {}) => {
    const pings: string[] = [];
    const ping = (payload: string): void => void pings.push(payload);
    return Object.assign(new EventEmitter(), { ping, pings, ...fields });
  };

  test('a silent upgrade is pinged under suspicion through the object that its server lists', () => {
    const { clock, open, classify, sweep, tracker, libraryServers } = setUp();
    const socket = open();
    classify();
    classify();
    const connection = libraryConnection({ socket, connected: true });
    libraryServers.push({ connections: [{}, connection] });
    clock.advance(10 * MINUTE_MS);
    sweep();
    expect(tracker.read().byProbeGroup).toMatchObject({ 'no-ping': 0, waiting: 1 });
    tracker.setPingEveryone(true);
    sweep();
    expect(connection.pings).toHaveLength(1);
    clock.advance(2 * MINUTE_MS);
    sweep();
    expect(tracker.read()).toMatchObject({ unresponsive: 1, byProbeGroup: { unresponsive: 1 } });
  });

  test('and through a driver that the socket is piped into', () => {
    const { clock, open, classify, sweep, tracker } = setUp();
    const driver = libraryConnection({ readyState: 1, frame: () => true });
    const socket = open();
    Object.assign(socket, { _readableState: { pipes: [null, { _driver: driver }] } });
    classify();
    classify();
    clock.advance(10 * MINUTE_MS);
    sweep();
    expect(driver.pings).toHaveLength(0);
    tracker.setSuspicion(true);
    sweep();
    expect(driver.pings).toHaveLength(1);
    const heard: unknown[] = [];
    driver.on('pong', (pong) => heard.push(pong));
    driver.emit('pong', { data: driver.pings[0] });
    expect(heard).toEqual([]);
    socket.bytesRead += 22;
    sweep();
    expect(tracker.read()).toMatchObject({ unresponsive: 0, unknown: 0 });
    expect(Object.hasOwn(driver, 'emit')).toBe(false);
  });

  test('a driver without a ping frame is not pinged again', () => {
    const { clock, open, classify, sweep, tracker } = setUp();
    const ping = jest.fn(() => false);
    const driver = libraryConnection({ readyState: 1, frame: () => true, ping });
    const socket = open();
    Object.assign(socket, { _readableState: { pipes: { _driver: driver } } });
    classify();
    classify();
    clock.advance(10 * MINUTE_MS);
    tracker.setPingEveryone(true);
    sweep();
    sweep();
    clock.advance(10 * MINUTE_MS);
    sweep();
    expect(ping).toHaveBeenCalledTimes(1);
    expect(tracker.read()).toMatchObject({ unresponsive: 0, unknown: 1, byProbeGroup: { 'no-ping': 1 } });
  });
});

describe('without pings', () => {
  test('a peer that ended its side of an upgrade is unresponsive', () => {
    const { tracker, open, classify, sweep } = setUp();
    const socket = open();
    classify();
    classify();
    sweep();
    expect(tracker.read().unresponsive).toBe(0);
    socket.readableEnded = true;
    sweep();
    expect(tracker.read().unresponsive).toBe(1);
  });

  test('an event stream whose request has ended is not', () => {
    const { tracker, openStream, classify, sweep } = setUp();
    openStream({ readableEnded: true });
    classify();
    sweep();
    expect(tracker.read()).toMatchObject({ unresponsive: 0, unknown: 1 });
  });

  test('a peer to which the kernel retransmits is unresponsive while it does', () => {
    const { tracker, openStream, classify, sweep } = setUp();
    const socket = openStream({ localPort: 8080, remoteAddress: '10.0.0.2', remotePort: 54_321 });
    openStream({ localPort: 8080, remoteAddress: '10.0.0.3', remotePort: 54_321 });
    classify();
    tracker.setLostPeers(new Set([peerKey(socket.asSocket) ?? '']));
    sweep();
    expect(tracker.read()).toMatchObject({ unresponsive: 1, unknown: 1 });
    tracker.setLostPeers(new Set());
    sweep();
    expect(tracker.read()).toMatchObject({ unresponsive: 0, unknown: 2 });
  });

  test('a peer that has closed while the application does not read from it is lost', () => {
    const { tracker, openWebSocket, classify, sweep } = setUp();
    const { socket } = openWebSocket();
    Object.assign(socket, { localPort: 8080, remoteAddress: '10.0.0.2', remotePort: 54_321, paused: true });
    classify();
    tracker.setLostPeers(new Set([peerKey(socket.asSocket) ?? '']));
    sweep();
    expect(tracker.read()).toMatchObject({ unresponsive: 1, unknown: 0 });
  });

  test('retransmits do not count for a WebSocket that the agent can ping', () => {
    const { tracker, openWebSocket, classify, sweep } = setUp();
    const { socket } = openWebSocket();
    Object.assign(socket, { localPort: 8080, remoteAddress: '10.0.0.2', remotePort: 54_321 });
    classify();
    tracker.setLostPeers(new Set([peerKey(socket.asSocket) ?? '']));
    sweep();
    expect(tracker.read().unresponsive).toBe(0);
  });
});

describe('peers that sleep', () => {
  function withPeer() {
    const { clock, openWebSocket, classify, sweep, tracker } = setUp();
    const { socket } = openWebSocket();
    classify();
    const minutes = (count: number): void => {
      for (let half = 0; half < 2 * count; half += 1) {
        clock.advance(MINUTE_MS / 2);
        sweep();
      }
    };
    const sleepFor = (count: number): void => {
      minutes(count);
      socket.bytesRead += 6;
      sweep();
    };
    return { clock, socket, minutes, sleepFor, read: () => tracker.read() };
  }

  test('count as asleep from the second time on, and have come back once', () => {
    const { sleepFor, minutes, read } = withPeer();
    sleepFor(10);
    expect(read()).toMatchObject({ unresponsive: 0, asleep: 0, awoken: 1 });
    minutes(12);
    expect(read()).toMatchObject({ unresponsive: 1, asleep: 1, awoken: 1 });
    sleepFor(3);
    expect(read()).toMatchObject({ unresponsive: 0, asleep: 0, awoken: 1 });
  });

  test('are not asleep when the silence is more than twice as long as before', () => {
    const { sleepFor, minutes, read } = withPeer();
    sleepFor(10);
    minutes(20);
    expect(read()).toMatchObject({ unresponsive: 1, asleep: 1 });
    minutes(1);
    expect(read()).toMatchObject({ unresponsive: 1, asleep: 0 });
    // It comes back after all, and sleeps as long again.
    sleepFor(10);
    expect(read()).toMatchObject({ awoken: 2 });
    minutes(40);
    expect(read()).toMatchObject({ unresponsive: 1, asleep: 1 });
  });

  test('are lost after 35 min, until they come back or close', () => {
    const { socket, sleepFor, minutes, read } = withPeer();
    minutes(35);
    expect(read()).toMatchObject({ unresponsive: 1, lost: 0 });
    minutes(1);
    expect(read()).toMatchObject({ unresponsive: 1, lost: 1, lostEnded: 0 });
    sleepFor(1);
    expect(read()).toMatchObject({ unresponsive: 0, lost: 0, lostEnded: 1 });
    // It sleeps as before, and then for much longer.
    minutes(60);
    expect(read()).toMatchObject({ asleep: 1, lost: 0 });
    minutes(20);
    expect(read()).toMatchObject({ asleep: 0, lost: 1 });
    socket.emit('close');
    expect(read()).toMatchObject({ lost: 0, lostEnded: 2 });
  });

  test('have not come back when a stall of the event loop hides their silence, and are forgotten when they close', () => {
    const { clock, openWebSocket, classify, sweep, tracker } = setUp();
    const { socket } = openWebSocket();
    classify();
    clock.advance(3 * MINUTE_MS);
    sweep();
    clock.advance(2 * MINUTE_MS);
    sweep();
    expect(tracker.read()).toMatchObject({ unresponsive: 1, awoken: 0 });
    tracker.noteStall(clock.nowMs());
    sweep();
    expect(tracker.read()).toMatchObject({ unresponsive: 0, awoken: 0 });
    socket.emit('close');
    expect(tracker.read()).toMatchObject({ unresponsive: 0, asleep: 0 });
  });
});

test('a lost peer whose silence a stall hides has not ended its silence', () => {
  const { clock, tracker, openWebSocket, classify, sweep } = setUp();
  const { socket } = openWebSocket();
  classify();
  for (let minute = 0; minute < 36; minute += 1) {
    clock.advance(MINUTE_MS);
    sweep();
  }
  expect(tracker.read()).toMatchObject({ unresponsive: 1, lost: 1 });
  tracker.noteStall(clock.nowMs());
  sweep();
  expect(tracker.read()).toMatchObject({ unresponsive: 0, lost: 1, lostEnded: 0 });
  socket.bytesRead += 6;
  sweep();
  expect(tracker.read()).toMatchObject({ lost: 0, lostEnded: 1 });
});

test('a peer that nobody pings has come back when the kernel does not retransmit any more', () => {
  const { clock, tracker, openStream, classify, sweep } = setUp();
  const socket = openStream({ localPort: 8080, remoteAddress: '10.0.0.2', remotePort: 54_321 });
  classify();
  tracker.setLostPeers(new Set([peerKey(socket.asSocket) ?? '']));
  clock.advance(MINUTE_MS);
  sweep();
  expect(tracker.read()).toMatchObject({ unresponsive: 1, awoken: 0 });
  tracker.setLostPeers(new Set());
  clock.advance(MINUTE_MS);
  sweep();
  expect(tracker.read()).toMatchObject({ unresponsive: 0, awoken: 1 });
  sweep();
  expect(tracker.read().awoken).toBe(1);
});

test('a socket that is sent to another process does not take bytes from the sum', () => {
  const { tracker, openWebSocket, classify, sweep } = setUp();
  const { socket } = openWebSocket();
  classify();
  socket.bytesRead += 1_000;
  sweep();
  Object.assign(socket, { _handle: null, bytesRead: 0 });
  sweep();
  expect(tracker.read()).toMatchObject({ active: NONE, receivedBytes: 1_000 });
});

test('bytes from the peers are summed, also those before a close', () => {
  const { tracker, openWebSocket, classify, sweep } = setUp();
  const [first, second] = [openWebSocket().socket, openWebSocket().socket];
  classify();
  first.bytesRead += 1_000;
  sweep();
  second.bytesRead += 200;
  second.emit('close');
  sweep();
  expect(tracker.read().receivedBytes).toBe(1_200);
});

test('send buffers are summed, and a peer that reads slowly is slow', () => {
  const { tracker, openWebSocket, openStream, classify, sweep } = setUp();
  const { socket, ws } = openWebSocket();
  const stream = openStream();
  classify();
  ws.bufferedAmount = 100_000;
  stream.writableLength = 500;
  sweep();
  expect(tracker.read()).toMatchObject({ sendBufferBytes: 100_500, slow: 1 });
  ws.bufferedAmount = 1_000;
  socket._bytesDispatched = 99_000;
  sweep();
  expect(tracker.read()).toMatchObject({ sendBufferBytes: 1_500, slow: 0 });
  socket.emit('close');
  expect(tracker.read()).toMatchObject({ sendBufferBytes: 500 });
});

describe('watch', () => {
  const tcpSocket = (): FakeSocket => Object.assign(new FakeSocket(), { server: null });

  test('counts a connection that no http server accepted, until its Dispose', () => {
    const { tracker, sweep } = setUp();
    const dispose = tracker.watch(tcpSocket() as unknown as Duplex);
    sweep();
    expect(tracker.read().active).toEqual({ ...NONE, upgraded: 1 });
    dispose();
    sweep();
    expect(tracker.read()).toMatchObject({ active: NONE, closed: { ...NONE, upgraded: 1 } });
    dispose();
    expect(tracker.read().closed).toEqual({ ...NONE, upgraded: 1 });
  });

  test('after Dispose a connection that the agent finds by itself stays counted', () => {
    const { tracker, openWebSocket, classify, sweep } = setUp();
    const { ws } = openWebSocket();
    classify();
    const dispose = tracker.watch(ws as unknown as Duplex, { id: 'user 1' });
    dispose();
    sweep();
    expect(tracker.read()).toMatchObject({ active: { ...NONE, websocket: 1 }, closed: NONE });
  });

  test('a socket that is already closed is not watched', () => {
    const { tracker, sockets } = setUp();
    const socket = Object.assign(tcpSocket(), { destroyed: true });
    tracker.watch(socket as unknown as Duplex, { id: 'late' })();
    expect(sockets.open.size).toBe(0);
    expect(tracker.read().opened).toEqual(NONE);
  });

  test('a second connection with an id replaces the first one', () => {
    const { tracker, sweep } = setUp();
    const [first, second] = [tcpSocket(), tcpSocket()];
    const dispose = tracker.watch(first as unknown as Duplex, { id: 'user 1' });
    sweep();
    tracker.watch(second as unknown as Duplex, { id: 'user 1' });
    sweep();
    expect(tracker.read()).toMatchObject({
      active: { ...NONE, upgraded: 1 },
      opened: { ...NONE, upgraded: 2 },
    });
    dispose();
    sweep();
    expect(tracker.read().active).toEqual({ ...NONE, upgraded: 1 });
  });
});

describe('ids', () => {
  test('there are none until the application gives one', () => {
    const { tracker, openWebSocket, classify } = setUp();
    const { ws } = openWebSocket();
    classify();
    expect(tracker.readIds()).toBeNull();
    tracker.watch(ws as unknown as Duplex);
    expect(tracker.readIds()).toBeNull();
    tracker.watch(ws as unknown as Duplex, { id: 'user 1' });
    expect(tracker.readIds()).toEqual({ unanswering: [], slow: [], retained: [] });
  });

  test('up to three unresponsive and three slow connections are named', () => {
    const { clock, tracker, openWebSocket, classify, sweep } = setUp();
    const peers = Array.from({ length: 8 }, openWebSocket);
    peers.forEach(({ ws }, n) => tracker.watch(ws as unknown as Duplex, { id: `user ${n}` }));
    openWebSocket();
    classify();
    clock.advance(3 * MINUTE_MS);
    sweep();
    for (const { socket, ws } of peers.slice(4)) {
      socket.bytesRead += 6;
      ws.bufferedAmount = 100_000;
    }
    clock.advance(MINUTE_MS + 1);
    sweep();
    expect(tracker.read()).toMatchObject({ unresponsive: 5, slow: 4 });
    expect(tracker.readIds()).toEqual({
      unanswering: ['user 0', 'user 1', 'user 2'],
      slow: ['user 4', 'user 5', 'user 6'],
      retained: [],
    });
  });

  test('a retained connection keeps its id, and a new connection can use the id again', () => {
    const { tracker, retained, openWebSocket, classify } = setUp();
    const { socket, ws } = openWebSocket();
    tracker.watch(ws as unknown as Duplex, { id: 'user 1' });
    classify();
    socket.emit('close');
    tracker.watch(openWebSocket().ws as unknown as Duplex, { id: 'user 1' });
    classify();
    retained.setMajorGcs(0);
    retained.setMajorGcs(2);
    retained.checkSlice(MINUTE_MS, 10);
    expect(tracker.readIds()).toEqual({ unanswering: [], slow: [], retained: ['user 1'] });
    expect(tracker.read().active).toEqual({ ...NONE, websocket: 1 });
  });

  test('stop forgets the ids', () => {
    const { clock, tracker, openWebSocket, classify, sweep } = setUp();
    tracker.watch(openWebSocket().ws as unknown as Duplex, { id: 'user 1' });
    classify();
    clock.advance(3 * MINUTE_MS);
    sweep();
    clock.advance(2 * MINUTE_MS);
    sweep();
    expect(tracker.readIds()?.unanswering).toEqual(['user 1']);
    tracker.stop();
    expect(tracker.readIds()?.unanswering).toEqual([]);
  });
});
