import { createEventEmitter } from '../../../src/agent/event-emitter.ts';
import type { Log, LogFields } from '../../../src/types/index.ts';
import { alertOf } from '../../support/alerts.ts';

function createEmitter() {
  const lines: (readonly [LogFields, string])[] = [];
  const ignore = (): void => undefined;
  const log: Log = {
    debug: ignore,
    info: ignore,
    warn: ignore,
    error: (fields, message) => void lines.push([fields, message]),
  };
  return { events: createEventEmitter(log), lines };
}

test('an error or a rejection in a listener is logged as its own, and the other listeners still run', async () => {
  const { events, lines } = createEmitter();
  const received: string[] = [];
  events.on('alert', () => {
    throw new Error('thrown');
  });
  const rejecting = (): Promise<void> => Promise.reject(new Error('rejected'));
  events.on('alert', rejecting as () => void);
  events.on('alert', ({ id }) => void received.push(id));
  events.emit('alert', alertOf({ id: 'a' }));
  expect(received).toEqual(['a']);
  await new Promise(setImmediate);
  const message = "a listener of the application for agent.on('alert') failed";
  expect(lines).toEqual([
    [{ code: 'WSGUARD_LISTENER_FAILED', event: 'alert', error: new Error('thrown') }, message],
    [{ code: 'WSGUARD_LISTENER_FAILED', event: 'alert', error: new Error('rejected') }, message],
  ]);
});

test('a listener is called again after any number of failures, and each series of them is logged once', async () => {
  const { events, lines } = createEmitter();
  const received: string[] = [];
  let isDown = true;
  events.on('alert', ({ id }) => {
    if (isDown) throw new Error('the pager is down');
    received.push(id);
  });
  const emit = (id: string): Promise<void> => {
    events.emit('alert', alertOf({ id }));
    return new Promise(setImmediate);
  };
  for (let n = 0; n < 20; n += 1) await emit(String(n));
  expect(lines).toHaveLength(1);
  isDown = false;
  await emit('b');
  expect(received).toEqual(['b']);
  isDown = true;
  await emit('c');
  expect(lines).toHaveLength(2);
});

test('a listener that removes itself and adds another one is called once for each alert', () => {
  const { events } = createEmitter();
  const received: string[] = [];
  const arm = (): void => {
    const remove = events.on('alert', ({ id }) => {
      remove();
      received.push(id);
      // Without this bound a loop over the live list would never end.
      if (received.length < 10) arm();
    });
  };
  arm();
  events.emit('alert', alertOf({ id: 'a' }));
  events.emit('alert', alertOf({ id: 'b' }));
  expect(received).toEqual(['a', 'b']);
});

test('a wrong argument throws at the call, with a code and with what is expected', () => {
  const { events } = createEmitter();
  const on = (event: string, listener: unknown) => () =>
    void events.on(event as 'alert', listener as () => void);
  const errorOf = (message: string): unknown =>
    expect.objectContaining({ name: 'TypeError', code: 'WSGUARD_WATCH_ARGUMENT', message });
  expect(on('leak', () => undefined)).toThrow(
    errorOf("wsguard: expected an event: alert, snapshot or report, got 'leak'") as Error,
  );
  expect(on('alert', null)).toThrow(errorOf('wsguard: expected a function, got null') as Error);
});
