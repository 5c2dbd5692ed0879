import { createEventEmitter } from '../../../src/agent/event-emitter.ts';
import { createGuard } from '../../../src/core/guard.ts';
import { alertOf } from '../../support/alerts.ts';

test('an error or a rejection in a listener is a fault, and the other listeners still run', async () => {
  const faults: unknown[] = [];
  const events = createEventEmitter(
    createGuard(({ part, error }) => faults.push([part, (error as Error).message])),
  );
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
  expect(faults).toEqual([
    ['on alert', 'thrown'],
    ['on alert', 'rejected'],
  ]);
});

test('a wrong argument throws at the call, with a code and with what is expected', () => {
  const events = createEventEmitter(createGuard(() => undefined));
  const on = (event: string, listener: unknown) => () =>
    void events.on(event as 'alert', listener as () => void);
  const errorOf = (message: string): unknown =>
    expect.objectContaining({ name: 'TypeError', code: 'WSGUARD_WATCH_ARGUMENT', message });
  expect(on('leak', () => undefined)).toThrow(
    errorOf("wsguard: expected an event: alert, snapshot or report, got 'leak'") as Error,
  );
  expect(on('alert', null)).toThrow(errorOf('wsguard: expected a function, got object') as Error);
});
