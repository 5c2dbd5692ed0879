import { InspectorConnection, postNow } from '../../../src/core/inspector-connection.ts';
import { createFakeClock } from '../../support/fake-clock.ts';

const MINUTE_MS = 60_000;

test('all users share one session, which ends with the last of them', () => {
  const connection = new InspectorConnection(createFakeClock());
  const session = connection.acquire();
  expect(connection.acquire()).toBe(session);
  connection.release();
  expect(connection.isConnected).toBe(true);
  connection.release();
  expect(connection.isConnected).toBe(false);
});

test('after a snapshot the session stays connected for a round, without users too', () => {
  const clock = createFakeClock();
  const connection = new InspectorConnection(clock);
  connection.keepObjectIds();
  expect(connection.isConnected).toBe(false);
  connection.acquire();
  connection.release();
  expect(connection.isConnected).toBe(true);
  clock.advance(30 * MINUTE_MS);
  connection.keepObjectIds();
  clock.advance(44 * MINUTE_MS);
  expect(connection.isConnected).toBe(true);
  clock.advance(MINUTE_MS);
  expect(connection.isConnected).toBe(false);
});

test('a user that is left when the round ends keeps the session', () => {
  const clock = createFakeClock();
  const connection = new InspectorConnection(clock);
  connection.acquire();
  connection.keepObjectIds();
  clock.advance(60 * MINUTE_MS);
  expect(connection.isConnected).toBe(true);
  connection.release();
  expect(connection.isConnected).toBe(false);
});

test('postNow returns the reply and throws when V8 refuses', () => {
  const connection = new InspectorConnection(createFakeClock());
  const session = connection.acquire();
  expect(postNow(session, 'Runtime.evaluate', { expression: '6 * 7' })).toMatchObject({
    result: { value: 42 },
  });
  expect(() => postNow(session, 'HeapProfiler.getSamplingProfile')).toThrow(/not running|not started/i);
  expect(() => postNow(session, 'No.such')).toThrow();
  connection.release();
});
