import { createEventEmitter } from '../../../src/agent/event-emitter.ts';
import { createGuard } from '../../../src/core/guard.ts';
import { alertOf } from '../../support/alerts.ts';

test('what a listener throws, now or later, stays here; the others hear', async () => {
  const faults: unknown[] = [];
  const events = createEventEmitter(
    createGuard(({ part, error }) => faults.push([part, (error as Error).message])),
  );
  const heard: string[] = [];
  events.on('alert', () => {
    throw new Error('now');
  });
  const later = (): Promise<void> => Promise.reject(new Error('later'));
  events.on('alert', later as () => void);
  events.on('alert', ({ id }) => void heard.push(id));
  events.emit('alert', alertOf({ id: 'a' }));
  expect(heard).toEqual(['a']);
  await new Promise(setImmediate);
  expect(faults).toEqual([
    ['on alert', 'now'],
    ['on alert', 'later'],
  ]);
});

test('an event that does not exist is said at the call, with those that do', () => {
  const events = createEventEmitter(createGuard(() => undefined));
  const on = (event: string, listener: () => void): unknown => events.on(event as 'alert', listener);
  expect(() => on('leak', () => undefined)).toThrow(
    "agent.on('leak'): expected one of alert, snapshot, report",
  );
});
