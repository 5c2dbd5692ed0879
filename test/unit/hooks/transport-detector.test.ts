import { TransportDetector } from '../../../src/hooks/connections/transport-detector.ts';
import { connectionWith, fakeWebSocketClass, FakeSocket } from '../../support/connections.ts';

const STREAM_HEADER = 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\r\n';
const socketWith = (fields: Partial<FakeSocket> & { alpnProtocol?: string } = {}): FakeSocket =>
  Object.assign(new FakeSocket(), fields);
const parsed = { parser: {} };
const detectorFor = (...watched: FakeSocket[]) =>
  new TransportDetector((socket) => watched.some((one) => one.asSocket === socket));

describe('detect', () => {
  test('a WebSocket of ws on the socket', () => {
    const socket = new FakeSocket();
    const ws = new (fakeWebSocketClass())(socket);
    expect(detectorFor().detect(socket.asSocket)).toEqual({ transport: 'websocket', appObject: ws });
  });

  test('a value under the symbol that does not look like a WebSocket is ignored', () => {
    const socket = socketWith(parsed);
    Object.assign(socket, { [Symbol('websocket')]: { readyState: 1 } });
    expect(detectorFor().detect(socket.asSocket)).toBeNull();
  });

  test('two copies of ws with a symbol each', () => {
    const detector = detectorFor();
    const FakeWebSocket = fakeWebSocketClass();
    const sockets = [new FakeSocket(), new FakeSocket(), new FakeSocket()];
    for (const socket of sockets) {
      const ws = new FakeWebSocket(socket);
      expect(detector.detect(socket.asSocket)).toEqual({ transport: 'websocket', appObject: ws });
    }
    for (const socket of sockets)
      expect(detector.detect(socket.asSocket)).toMatchObject({ transport: 'websocket' });
  });

  test('an event stream by its raw header', () => {
    const response = { writableEnded: false, _header: STREAM_HEADER };
    const socket = socketWith({ ...parsed, _httpMessage: response });
    expect(detectorFor().detect(socket.asSocket)).toEqual({ transport: 'sse', appObject: response });
  });

  test.each([
    ['an ended event stream', { writableEnded: true, _header: STREAM_HEADER }],
    ['another content type', { writableEnded: false, _header: 'Content-Type: text/html\r\n' }],
    ['a response without headers yet', { writableEnded: false, _header: null }],
  ])('%s is not a connection', (_case, response) => {
    expect(detectorFor().detect(socketWith({ ...parsed, _httpMessage: response }).asSocket)).toBeNull();
  });

  test('an upgrade is pending at the first call and certain at the second', () => {
    const detector = detectorFor();
    const socket = new FakeSocket();
    expect(detector.detect(socket.asSocket)).toBe('pending');
    expect(detector.detect(socket.asSocket)).toEqual({ transport: 'upgraded', appObject: socket });
  });

  test.each([
    ['a socket with a parser', socketWith(parsed)],
    ['a socket of a plain TCP server', socketWith({ server: {} })],
    ['a socket without a server', socketWith({ server: null })],
    ['an HTTP/2 session', socketWith({ alpnProtocol: 'h2' })],
    ['a destroyed socket', socketWith({ destroyed: true })],
  ])('%s is not a connection', (_case, socket) => {
    const detector = detectorFor();
    expect(detector.detect(socket.asSocket)).toBeNull();
    expect(detector.detect(socket.asSocket)).toBeNull();
  });

  test.each([
    ['a plain TCP server', socketWith({ server: null })],
    ['an http server', socketWith(parsed)],
  ])('a watched socket of %s is a connection', (_case, socket) => {
    expect(detectorFor(socket).detect(socket.asSocket)).toEqual({
      transport: 'upgraded',
      appObject: socket,
    });
  });

  test('a watched socket with a WebSocket or an event stream has that transport', () => {
    const [first, second] = [new FakeSocket(), socketWith(parsed)];
    void new (fakeWebSocketClass())(first);
    second._httpMessage = { writableEnded: false, _header: STREAM_HEADER };
    const detector = detectorFor(first, second);
    expect(detector.detect(first.asSocket)).toMatchObject({ transport: 'websocket' });
    expect(detector.detect(second.asSocket)).toMatchObject({ transport: 'sse' });
  });
});

describe('hasChanged', () => {
  test('an event stream that ended on a kept-alive socket', () => {
    const response = { writableEnded: false, _header: STREAM_HEADER };
    const socket = socketWith({ ...parsed, _httpMessage: response });
    const stream = connectionWith({ socket: socket.asSocket, transport: 'sse', appObject: response });
    const detector = detectorFor();
    expect(detector.hasChanged(stream, 0)).toBe(false);
    socket._httpMessage = null;
    expect(detector.hasChanged(stream, 0)).toBe(true);
  });

  test('an upgrade that becomes a WebSocket within a minute', () => {
    const socket = new FakeSocket();
    const upgrade = connectionWith({
      socket: socket.asSocket,
      transport: 'upgraded',
      appObject: socket,
    });
    const detector = detectorFor();
    expect(detector.hasChanged(upgrade, 59_999)).toBe(false);
    void new (fakeWebSocketClass())(socket);
    expect(detector.hasChanged(upgrade, 59_999)).toBe(true);
    expect(detector.hasChanged(upgrade, 60_000)).toBe(false);
  });

  test('a WebSocket never changes', () => {
    const socket = socketWith(parsed);
    expect(detectorFor().hasChanged(connectionWith({ socket: socket.asSocket }), 0)).toBe(false);
  });
});
