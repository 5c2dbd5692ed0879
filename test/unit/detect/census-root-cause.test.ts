/** The root cause that a census gives to an alert of another detector. */
import {
  knownLeak,
  locationFor,
  rootCauseFor as findRootCause,
} from '../../../src/detect/census-root-cause.ts';
import type { ContainerGrowth } from '../../../src/detect/container-growth.ts';
import type { Alert } from '../../../src/types/index.ts';

const growthOf = (
  name: string,
  type: ContainerGrowth['row']['type'],
  answer: ContainerGrowth['answer'] = 'found',
  line: number | null = 7,
): ContainerGrowth => ({
  row: {
    key: `server.js ${name}`,
    type,
    owner: 'application',
    name,
    path: [name],
    containers: 1,
    entries: 500,
    largest: 500,
    bytes: 1e6,
    sampled: 20,
    closed: 20,
    open: 0,
    location: line === null ? null : { file: 'server.js', line, function: 'onConnection', package: null },
    expected: null,
    removedAfterMs: null,
    removal: 'none',
  },
  answer,
  because: 'no code in its file removes entries',
  gained: 400,
  perClosed: 1,
  perHour: 240,
  bytesPerHour: 480_000,
  inStep: [],
});
const rootCauseFor = (alert: Pick<Alert, 'kind' | 'subject'>, growths: readonly ContainerGrowth[]) =>
  findRootCause({ ...alert, evidence: [] }, growths, []);
const GROWTHS = [
  growthOf('wss.connections', 'Array', 'found', 3),
  growthOf('timers of 3000 ms', 'Timers', 'inconclusive', 8),
  growthOf('open handles TCP', 'Handles', 'found', 9),
  growthOf('open handles Process', 'Handles', 'plateau', 12),
  growthOf('cache', 'Map', 'found', null),
  growthOf("listeners of 'done' on Queue", 'Listeners', 'found', 15),
  growthOf('Jobs._events', 'Object', 'found', 16),
];

test.each([
  ['registry-growth', 'wss.connections', 3],
  ['registry-growth', 'websocket connections', 3],
  ['listener-accumulation', 'Queue *', 15],
  ['listener-accumulation', 'Queue #2 done', 15],
  ['listener-accumulation', 'Jobs *', 16],
  ['resource-growth', 'timer', 8],
  ['resource-growth', 'outgoing_socket', 9],
  ['retained-after-close', 'websocket', 3],
  ['heap-growth', 'heap', 3],
] as const)('%s of %s: line %i', (kind, subject, line) => {
  expect(rootCauseFor({ kind, subject }, GROWTHS)).toMatchObject({ file: 'server.js', line });
});

test.each([
  ['registry-growth', 'sessions'],
  // It has stopped growing.
  ['resource-growth', 'child_process'],
  ['resource-growth', 'thread'],
  // Without a line.
  ['registry-growth', 'cache'],
  ['listener-accumulation', 'EventEmitter *'],
  ['listener-accumulation', 'Queue failed'],
  ['listener-accumulation', 'Jobs done'],
] as const)('%s of %s: none', (kind, subject) => {
  expect(rootCauseFor({ kind, subject }, GROWTHS)).toBeNull();
});

test.each([
  ['registry-growth', 'wss.connections', 3],
  ['resource-growth', 'outgoing_socket', 9],
  // Not certain.
  ['resource-growth', 'timer', null],
  // Without a line.
  ['registry-growth', 'cache', null],
  // Memory belongs to every leak.
  ['heap-growth', 'heap', null],
] as const)('%s of %s joins an alert with line %s', (kind, subject, line) => {
  expect(locationFor({ kind, subject }, GROWTHS)?.line ?? null).toBe(line);
});

test('a container that may be filling is named with less confidence, and for its own alert only', () => {
  const [suspect] = [growthOf('sessions', 'Map', 'inconclusive')];
  expect(rootCauseFor({ kind: 'heap-growth', subject: 'heap' }, [suspect])).toBeNull();
  expect(rootCauseFor({ kind: 'registry-growth', subject: 'sessions' }, [suspect])).toMatchObject({
    confidence: 0.5,
    text: '`sessions` gained 400 entries between censuses of containers, added at server.js:7; not certain yet, because no code in its file removes entries',
  });
});

test('the root cause of an alert that a census opened is its line, because the title has the rest', () => {
  const [growth] = [growthOf('sessions', 'Map', 'found')];
  const textOf = (subject: string) => rootCauseFor({ kind: 'registry-growth', subject }, [growth])?.text;
  expect(textOf('sessions')).toBe('entries of `sessions`, added at server.js:7');
  expect(textOf('hub.sessions')).toContain('`sessions` gained 400 entries between censuses of containers');
});

describe('a finding of the censuses opens no second alert', () => {
  const finding = { kind: 'registry-growth', subject: 'wss.connections' } as const;
  const located = { file: 'server.js', line: 3 } as Alert['culprit'];
  const isKnown = (alert: Partial<Alert>): boolean =>
    knownLeak(finding, GROWTHS, [
      { kind: 'registry-growth', family: 'leak', subject: 'sessions', culprit: null, evidence: [], ...alert },
    ]) !== null;

  test('when an open alert has the container under another name', () => {
    expect(isKnown({ subject: 'websocket connections' })).toBe(true);
  });

  test('when the root cause of an open alert is the line of the container', () => {
    expect(isKnown({ kind: 'retained-after-close', subject: 'websocket', culprit: located })).toBe(true);
  });

  test('when an open alert counts the same resource, also with another line', () => {
    const handles = { kind: 'resource-growth', subject: 'open handles TCP' } as const;
    const sockets = { kind: 'resource-growth', family: 'leak', culprit: located, evidence: [] } as const;
    const open = [
      { ...sockets, subject: 'timer' },
      { ...sockets, subject: 'outgoing_socket' },
    ];
    expect(knownLeak(handles, GROWTHS, open)).toBe(open[1]);
    expect(knownLeak(handles, GROWTHS, open.slice(0, 1))).toBeNull();
  });

  test('when it is about the entries that listeners under many event names make', () => {
    const events = { kind: 'listener-accumulation', subject: 'Jobs._events' } as const;
    const listeners = {
      kind: 'listener-accumulation',
      family: 'leak',
      culprit: located,
      evidence: [],
    } as const;
    const open = [
      { ...listeners, subject: 'Queue *' },
      { ...listeners, subject: 'Jobs *' },
    ];
    expect(knownLeak(events, GROWTHS, open)).toBe(open[1]);
    expect(knownLeak(events, GROWTHS, open.slice(0, 1))).toBeNull();
  });

  test('when it is about closed connections, and any leak is open but its own', () => {
    const effect = { kind: 'retained-after-close', subject: 'closed connections' } as const;
    const growths = [growthOf('closed connections', 'Connections', 'found')];
    const queue = {
      kind: 'queue-growth',
      family: 'leak',
      subject: 'jobs',
      culprit: null,
      evidence: [],
    } as const;
    const own = { ...effect, family: 'leak', culprit: null, evidence: [] } as const;
    expect(knownLeak(effect, growths, [queue])).toBe(queue);
    expect(knownLeak(effect, growths, [queue, own])).toBeNull();
    expect(knownLeak(effect, growths, [])).toBeNull();
  });

  test('and opens one in all other cases', () => {
    expect(isKnown({})).toBe(false);
    expect(isKnown({ kind: 'queue-growth', subject: 'websocket connections' })).toBe(false);
    expect(isKnown({ family: 'condition', culprit: located })).toBe(false);
  });

  test('and confirms its own alert', () => {
    expect(isKnown({ subject: 'wss.connections', culprit: located })).toBe(false);
  });

  test('and a finding of another detector is not concerned', () => {
    const open = [
      { kind: 'registry-growth', family: 'leak', subject: 'websocket cache', culprit: null, evidence: [] },
    ] as const;
    expect(knownLeak({ kind: 'registry-growth', subject: 'cache' }, GROWTHS, open)).toBeNull();
  });
});

describe('a variable that has an emitter does not have the name of its class', () => {
  const finding = { kind: 'listener-accumulation', subject: 'hub.jobs._events' } as const;
  const jobs = growthOf('hub.jobs._events', 'Object', 'found', 20);
  // The entries of `jobs` grow by 240 per hour.
  const alertOf = (subject: string, perHour: number) =>
    ({
      kind: 'listener-accumulation',
      family: 'leak',
      subject,
      culprit: null,
      evidence: [{ name: 'rise_per_hour', value: perHour, unit: 'listeners/h' }],
    }) as const;
  const queue = alertOf('Queue *', 250);
  type Open = readonly ReturnType<typeof alertOf>[];

  test('one alert about all listeners of an emitter, and one emitter that grows as they do: they are the same', () => {
    const open: Open = [queue, alertOf('Bus message', 240)];
    expect(knownLeak(finding, [jobs], open)).toBe(queue);
    expect(findRootCause(queue, [jobs], open)).toMatchObject({ file: 'server.js', line: 20 });
  });

  test.each<[string, readonly ContainerGrowth[], Open]>([
    ['their growth differs', [jobs], [alertOf('Queue *', 500)]],
    ['two such alerts are open', [jobs], [queue, alertOf('Bus *', 900)]],
    ['the alert is about one event', [jobs], [alertOf('Queue done', 240)]],
    ['two emitters grow', [jobs, growthOf('hub.queue._events', 'Object', 'inconclusive', 30)], [queue]],
    [
      'the emitter of the alert grows',
      [jobs, growthOf("listeners of 'done' on Queue", 'Listeners')],
      [queue],
    ],
    ['the entries are no listeners', [growthOf('hub.jobs._events', 'Array', 'found', 20)], [queue]],
  ])('when %s, they are not taken for the same', (_, growths, open) => {
    expect(knownLeak(finding, growths, open)).toBeNull();
    expect(findRootCause(open[0]!, growths, open)?.line ?? null).not.toBe(20);
  });
});
