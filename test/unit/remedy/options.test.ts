import { EventEmitter } from 'node:events';
import {
  BoundedMessageQueue,
  claimInRedis,
  drain,
  fanout,
  heartbeat,
  memoryGuard,
  scopedListeners,
  sseHeartbeat,
} from '../../../src/remedy/index.ts';
import { CLOSE_CODE, TIMER } from '../../../src/remedy/options.ts';
import { FakeServer } from '../../support/web-sockets.ts';

const redis = { duplicate() {}, async publish() {}, async set() {} };
const response = Object.assign(new EventEmitter(), { write() {}, destroy() {} });

test.each<[string, () => unknown]>([
  [
    'heartbeat expects for intervalMs milliseconds from 1 to 2147483647, got NaN',
    () => heartbeat(new FakeServer(), { intervalMs: NaN }),
  ],
  [
    'heartbeat expects for idleTimeoutMs a number of at least 1, got 0',
    () => heartbeat(new FakeServer(), { idleTimeoutMs: 0 }),
  ],
  [
    'heartbeat expects for the first argument a WebSocketServer, got undefined',
    () => heartbeat(undefined as never),
  ],
  [
    'sseHeartbeat expects for intervalMs milliseconds from 1 to 2147483647, got 30s',
    () => sseHeartbeat(response as never, { intervalMs: '30s' as never }),
  ],
  ['sseHeartbeat expects for the first argument a ServerResponse', () => sseHeartbeat({} as never)],
  [
    "BoundedMessageQueue expects for onOverflow one of 'drop-oldest', 'close', got keep",
    () => new BoundedMessageQueue({ onOverflow: 'keep' as never }),
  ],
  [
    'BoundedMessageQueue expects for maxSize a number of at least 0, got NaN',
    () => new BoundedMessageQueue({ maxSize: NaN }),
  ],
  ['scopedListeners expects for the first argument', () => scopedListeners(null as never)],
  ['fanout expects for the first argument a client of redis or ioredis', () => fanout({} as never)],
  ['fanout expects for channel a string that is not empty', () => fanout(redis as never, { channel: '' })],
  ['claimInRedis expects for ttlMs a number of at least 1, got 0', () => claimInRedis(redis, { ttlMs: 0 })],
  [
    'memoryGuard expects for thresholdBytes a number of at least 1, got -1',
    () => memoryGuard({ thresholdBytes: -1 }),
  ],
])('%s', (message, call) => {
  expect(call).toThrow(message);
  expect(call).toThrow(expect.objectContaining({ name: 'TypeError', code: 'WSGUARD_REMEDY_ARGUMENT' }));
});

test('drain rejects', async () => {
  await expect(drain(new FakeServer(), { code: 1005 })).rejects.toMatchObject({
    code: 'WSGUARD_REMEDY_ARGUMENT',
  });
});

test('the close codes are those that ws sends', () => {
  const valid = [1000, 1001, 1003, 1013, 1014, 3000, 4999];
  const invalid = [999, 1004, 1005, 1006, 1015, 2999, 5000, 1001.5, '1001'];
  expect([...valid, ...invalid].filter((code) => CLOSE_CODE.isValid(code))).toEqual(valid);
});

test('the delay of a timer is one that Node keeps', () => {
  expect([0, 1, 2 ** 31 - 1, 2 ** 31, Infinity].filter((delay) => TIMER.isValid(delay))).toEqual([
    1,
    2 ** 31 - 1,
  ]);
});
