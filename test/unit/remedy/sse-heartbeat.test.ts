import { EventEmitter } from 'node:events';
import type { Server, ServerResponse } from 'node:http';
import { eventStreamsOf, sseHeartbeat } from '../../../src/remedy/sse-heartbeat.ts';
import { createFakeClock } from '../../support/fake-clock.ts';

class FakeResponse extends EventEmitter {
  readonly written: string[] = [];
  readonly socket = { server: {} };
  writableLength = 0;
  writableEnded = false;
  destroyed = false;
  closed = false;
  write(text: string): boolean {
    this.written.push(text);
    return true;
  }
  destroy(): void {
    this.destroyed = true;
    this.emit('close');
  }
  get asResponse(): ServerResponse {
    return this as unknown as ServerResponse;
  }
}

function setUp() {
  const clock = createFakeClock();
  const response = new FakeResponse();
  const dead: unknown[] = [];
  const dispose = sseHeartbeat(response.asResponse, { onDead: (stream) => dead.push(stream) }, clock);
  return { clock, response, dead, dispose };
}

test('a client that reads gets a comment line every 30 s', () => {
  const { clock, response, dead } = setUp();
  clock.advance(90_000);
  expect(response.written).toEqual([':\n\n', ':\n\n', ':\n\n']);
  expect(dead).toEqual([]);
});

test('a stream whose pending writes do not shrink is destroyed', () => {
  const { clock, response, dead } = setUp();
  response.writableLength = 5_000;
  clock.advance(60_000);
  expect(response.destroyed).toBe(false);
  clock.advance(30_000);
  expect(response.destroyed).toBe(true);
  expect(dead).toEqual([response]);
  expect(response.written).toEqual([]);
});

test('a slow client whose pending writes shrink stays', () => {
  const { clock, response, dead } = setUp();
  for (response.writableLength = 100_000; response.writableLength > 0; response.writableLength -= 10_000)
    clock.advance(30_000);
  expect(dead).toEqual([]);
});

test('close and dispose end it: no timer, no listener, no entry for drain', () => {
  for (const end of ['close', 'dispose'] as const) {
    const { clock, response, dispose } = setUp();
    const server = response.socket.server as Server;
    expect(eventStreamsOf(server).size).toBe(1);
    if (end === 'close') response.emit('close');
    else dispose();
    clock.advance(300_000);
    expect([response.written, response.eventNames(), eventStreamsOf(server).size]).toEqual([[], [], 0]);
  }
});

test('a response that has ended already is left alone', () => {
  const clock = createFakeClock();
  const response = Object.assign(new FakeResponse(), { destroyed: true });
  sseHeartbeat(response.asResponse, {}, clock);
  clock.advance(60_000);
  expect([response.written, response.eventNames()]).toEqual([[], []]);
});
