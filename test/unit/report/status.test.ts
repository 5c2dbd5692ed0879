import { composeStatus, type StatusInput } from '../../../src/report/status.ts';
import type { Identity } from '../../../src/types/index.ts';
import { byTransport, sampleOf } from '../../support/samples.ts';

const inputWith = (fields: Partial<StatusInput> = {}): StatusInput => ({
  watcher: 'running',
  identity: { service: 'chat', instance: 'chat-1' } as Identity,
  uptimeMs: 60_000,
  sample: sampleOf(),
  verdicts: [],
  alerts: [],
  timeToLimit: null,
  blind: [],
  noThreadReason: null,
  ...fields,
});
const sample = sampleOf();
const withConnections = (fields: Partial<typeof sample.connections>) =>
  sampleOf({ connections: { ...sample.connections, ...fields } });

test('connections are summed over the transports', () => {
  const active = byTransport(500, { sse: 20 });
  const { connections } = composeStatus(
    inputWith({ sample: withConnections({ active, unanswering: 7, unaskable: 20, retained: 3 }) }),
  );
  expect(connections).toEqual({
    active: 520,
    unanswering: 7,
    unaskable: 20,
    retained: 3,
    byTransport: active,
  });
});

test('the ids of connections are there when the application gave ids', () => {
  const ids = { unanswering: ['user 1'], slow: [], retained: ['user 2', 'user 3'] };
  expect(composeStatus(inputWith({ sample: withConnections({ ids }) })).connections.ids).toEqual(ids);
});

test('before the first sample there are no connections', () => {
  const blind = [{ what: 'open descriptors', why: 'no permission' }];
  const status = composeStatus(inputWith({ sample: null, blind, noThreadReason: 'WSGUARD_THREAD=off' }));
  expect(status.connections).toEqual({
    active: 0,
    unanswering: 0,
    unaskable: 0,
    retained: null,
    byTransport: byTransport(),
  });
  expect(status.blind).toEqual([
    ...blind,
    { what: 'a blocked loop', why: 'no watcher thread: WSGUARD_THREAD=off' },
  ]);
});
