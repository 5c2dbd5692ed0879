import { createMessageHandlers } from '../../../src/agent/message-handlers.ts';
import type { AgentContext } from '../../../src/agent/context.ts';
import { createGuard } from '../../../src/core/guard.ts';
import type { Alert, Culprit } from '../../../src/types/index.ts';
import { alertOf } from '../../support/alerts.ts';

function start(sampler: Partial<AgentContext['sampler']> = {}) {
  const sent: unknown[] = [];
  const emitted: unknown[] = [];
  const acknowledged: number[] = [];
  const faults: string[] = [];
  const context = {
    preload: { guard: createGuard(({ part }) => faults.push(part)) },
    sampler,
    events: { emit: (event: string, value: unknown) => void emitted.push([event, value]) },
    openAlerts: new Map<string, Alert>(),
    metrics: null,
    samplingLoop: { acknowledge: (seq: number) => void acknowledged.push(seq) },
    link: { send: (name: string, value: unknown) => void sent.push([name, value]) },
  } as unknown as AgentContext;
  return { context, handlers: createMessageHandlers(context), sent, emitted, acknowledged, faults };
}

test('open alerts are kept by their latest transition and removed when they close', () => {
  const { context, handlers, emitted } = start();
  const { transition } = handlers.onMessage;
  transition(alertOf({ id: 'a' }));
  transition(alertOf({ id: 'b' }));
  transition(alertOf({ id: 'a', event: 'updated', title: 'new' }));
  transition(alertOf({ id: 'b', event: 'closed' }));
  expect([...context.openAlerts.values()].map(({ id, title }) => [id, title])).toEqual([['a', 'new']]);
  expect(emitted).toHaveLength(4);
});

test('an acknowledgement brings the metrics', () => {
  const { context, handlers, acknowledged } = start();
  const metrics = { sample: null } as never;
  handlers.onMessage.ack({ seq: 7, metrics });
  expect(acknowledged).toEqual([7]);
  expect(context.metrics).toBe(metrics);
});

test('the ready message of a watcher is answered with the attached servers', () => {
  const attached = { servers: ['http on port 80'], pings: true, blind: [] };
  const { handlers, sent } = start({ attached: () => attached });
  handlers.onMessage.ready(null);
  expect(sent).toEqual([['attached', attached]]);
});

test('a fault in a request is counted, and the reply is null', async () => {
  const failing = (): Promise<Culprit | null> => Promise.reject(new Error('inspector'));
  const { handlers, faults } = start({ locateListener: failing });
  expect(await handlers.onRequest.locateListener({ emitter: 'bus', event: 'tick' })).toBeNull();
  expect(faults).toEqual(['locate']);
});

test('a fault in the readings for a snapshot is not reported as a thread that does not reply', async () => {
  const { handlers, faults } = start();
  // The context of this test has no heartbeat and no settings, so the snapshotter cannot be made.
  expect(await handlers.onRequest.captureReadings('folder')).toMatchObject({
    outcome: 'failed',
    reason: expect.stringContaining('fault of the agent'),
  });
  expect(faults).toEqual(['snapshot']);
});

test('the callbacks of resources are located by their type', async () => {
  const locateResources = (type: string): Promise<Culprit | null> =>
    Promise.resolve({ name: type } as Culprit);
  const { handlers } = start({ locateResources });
  expect(await handlers.onRequest.locateResources('timer')).toEqual({ name: 'timer' });
});

test('a profile that was not started stops with null', async () => {
  const { handlers } = start();
  expect(await handlers.onRequest.profile('stop')).toBeNull();
});
