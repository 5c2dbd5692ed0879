import {
  closeStatus,
  isShutdownCode,
  socketEndOf,
  type SocketEnd,
} from '../../../src/hooks/connections/close-status.ts';
import type { Connection } from '../../../src/hooks/connections/connection.ts';
import { connectionWith, FakeSocket } from '../../support/connections.ts';

const NOW_MS = 100_000;
const errorWith = (code: string): Error => Object.assign(new Error(code), { code });

const endOf = (
  socket: Partial<FakeSocket>,
  connection: Partial<Connection> = {},
  serverClose: Parameters<typeof socketEndOf>[1] = null,
): SocketEnd => {
  const fake = Object.assign(new FakeSocket(), socket);
  return socketEndOf(connectionWith({ socket: fake.asSocket, ...connection }), serverClose, NOW_MS);
};

describe('the end of the socket', () => {
  test('the server closed with 1001 or 1012, or stopped listening', () => {
    expect([1000, 1001, 1012, 4000, undefined].map(isShutdownCode)).toEqual([
      false,
      true,
      true,
      false,
      false,
    ]);
    expect(endOf({}, {}, { atMs: NOW_MS, isShutdown: true })).toBe('shutdown');
    const stopped = { listening: false, _connectionKey: '4:127.0.0.1:80' };
    expect(endOf({ server: stopped })).toBe('shutdown');
    expect(endOf({ server: { ...stopped, listening: true } })).toBe('lost');
  });

  test('a server that never listened gets its sockets from another process', () => {
    expect(endOf({ server: { listening: false } })).toBe('lost');
    expect(endOf({ server: null })).toBe('lost');
  });

  test('an error of the socket: lost, unless the kernel gave up waiting', () => {
    expect(endOf({ errored: errorWith('ECONNRESET') }, { roundTripStartMs: 0 })).toBe('lost');
    expect(endOf({ errored: errorWith('ETIMEDOUT') })).toBe('timeout');
  });

  test('the peer or the response ended the stream', () => {
    expect(endOf({ readableEnded: true }, { roundTripStartMs: 0 })).toBe('ended');
    expect(endOf({}, { transport: 'sse', appObject: { writableEnded: true } })).toBe('ended');
    expect(endOf({}, { transport: 'sse', appObject: { writableEnded: false } })).toBe('lost');
    expect(endOf({ writableEnded: true }, { transport: 'upgraded' })).toBe('ended');
    expect(endOf({ writableEnded: true })).toBe('lost');
  });

  test('destroyed here while the peer owed a reply for a second', () => {
    expect(endOf({}, { roundTripStartMs: NOW_MS - 1_000 })).toBe('timeout');
    expect(endOf({}, { roundTripStartMs: NOW_MS - 999 })).toBe('lost');
    expect(endOf({}, {}, { atMs: NOW_MS - 30_000, isShutdown: false })).toBe('timeout');
    expect(endOf({}, {}, { atMs: NOW_MS, isShutdown: false })).toBe('lost');
  });

  test('destroyed here while unresponsive, unless bytes came since the sweep that said so', () => {
    expect(endOf({ bytesRead: 7 }, { liveness: 'unresponsive' })).toBe('timeout');
    expect(endOf({ bytesRead: 8 }, { liveness: 'unresponsive', bytesRead: 7 })).toBe('lost');
    expect(endOf({}, { liveness: 'unknown' })).toBe('lost');
  });
});

test.each<[SocketEnd, number | null, string]>([
  ['ended', 1000, 'normal_closure'],
  ['ended', 1001, 'normal_closure'],
  ['lost', 1005, 'normal_closure'],
  ['ended', 3000, 'normal_closure'],
  ['timeout', 4999, 'normal_closure'],
  ['ended', 1006, 'abnormal'],
  ['lost', 1006, 'abnormal'],
  ['timeout', 1006, 'timeout'],
  ['timeout', 1009, 'abnormal'],
  ['ended', 1011, 'abnormal'],
  ['ended', 2999, 'abnormal'],
  ['ended', 5000, 'abnormal'],
  ['ended', 1012, 'app_shutdown'],
  ['shutdown', 1000, 'app_shutdown'],
  ['shutdown', 1006, 'app_shutdown'],
  ['ended', null, 'normal_closure'],
  ['lost', null, 'abnormal'],
  ['timeout', null, 'timeout'],
  ['shutdown', null, 'app_shutdown'],
])('%s with code %s is %s', (end, code, status) => {
  expect(closeStatus(end, code)).toBe(status);
});
