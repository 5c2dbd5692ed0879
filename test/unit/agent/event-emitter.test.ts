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

test('an unknown event throws at the call and names the events that exist', () => {
  const events = createEventEmitter(createGuard(() => undefined));
  const on = (event: string, listener: () => void): unknown => events.on(event as 'alert', listener);
  expect(() => on('leak', () => undefined)).toThrow(
    "agent.on('leak'): expected one of alert, snapshot, report",
  );
});
