import {
  initialState,
  type InvestigationAction,
  type InvestigationEvent,
  type InvestigationState,
} from '../../../src/investigate/investigation-state.ts';
import { phaseOf, transition, type Phase } from '../../../src/investigate/investigation.ts';
import type { AllocationProfile, Culprit, Sample, Snapshot } from '../../../src/types/index.ts';
import { alertOf } from '../../support/alerts.ts';
import { analysisWith, clientsSuspect } from '../../support/analyses.ts';
import { byTransport, sampleOf } from '../../support/samples.ts';

const LEAK = alertOf({ id: 'a', kind: 'heap-growth', timeToLimit: null, culprit: null });
const OTHER = { ...LEAK, id: 'b' };
const LISTENERS = { ...LEAK, id: 'c', kind: 'listener-accumulation', subject: 'bus tick' } as const;
const LISTENER = { emitter: 'bus', event: 'tick', listeners: 900, eventNames: null, source: 'app' } as const;
const WRITTEN: Snapshot = {
  outcome: 'written',
  file: 'f.heapsnapshot',
  method: 'inprocess',
  pauseMs: 900,
  bytes: 9e6,
  redacted: true,
};
const REFUSED: Snapshot = { outcome: 'refused', reason: 'needs 300 MiB of memory, 90 MiB available' };
const PROFILE: AllocationProfile = {
  intervalBytes: 2e6,
  totalBytes: 4e7,
  isGrowth: true,
  lines: [{ file: 'server.js', line: 40, function: 'onMessage', bytes: 2e7, share: 0.5 }],
};
const LOCATED: Culprit = {
  text: 'listener of tick',
  name: 'tick',
  file: 'server.js',
  line: 7,
  function: null,
  package: null,
  confidence: 0.95,
};

const sample = (opened: number, more: Partial<Sample> = {}): Sample => {
  const { connections } = sampleOf();
  return sampleOf({ connections: { ...connections, openedTotal: byTransport(opened) }, ...more });
};

/** The state and the actions of the last event after these events, each at its index in minutes. */
function run(events: readonly InvestigationEvent[], from: InvestigationState = initialState(1)) {
  let state = from;
  let actions: readonly InvestigationAction[] = [];
  events.forEach((event, minute) => ({ state, actions } = transition(state, event, minute * 60_000)));
  return { state, actions, phase: phaseOf(state) };
}

const EVENTS = {
  'alert opened': { type: 'alert', alert: OTHER },
  'alert closed': { type: 'alert', alert: { ...LEAK, event: 'closed' } },
  'located nothing': { type: 'line-located', alertId: 'a', culprit: null },
  'located line': { type: 'line-located', alertId: 'a', culprit: LOCATED },
  'quiet sample': { type: 'sample', sample: sample(1_010), isSuspected: true },
  'busy sample': { type: 'sample', sample: sample(2_000), isSuspected: true },
  'snapshot written': { type: 'snapshot-ended', snapshot: WRITTEN },
  'snapshot refused': { type: 'snapshot-ended', snapshot: REFUSED },
  'clear analysis': { type: 'analysis-ended', analysis: analysisWith(clientsSuspect()) },
  'empty analysis': { type: 'analysis-ended', analysis: analysisWith() },
  'no analysis': { type: 'analysis-ended', analysis: 'the child process ended' },
  profile: { type: 'profile-ended', profile: PROFILE },
  stopped: { type: 'stopped' },
} as const satisfies Record<string, InvestigationEvent>;
type EventName = keyof typeof EVENTS;

/** How each phase is reached, with a running profile. */
const WAYS: Readonly<Record<Phase, readonly EventName[]>> = {
  idle: ['quiet sample'],
  'waiting-for-snapshot': ['quiet sample'],
  'waiting-for-traffic': ['quiet sample', 'snapshot written'],
  comparing: ['quiet sample', 'snapshot written', 'busy sample', 'snapshot written'],
  'waiting-for-profile': [
    'quiet sample',
    'snapshot written',
    'busy sample',
    'snapshot written',
    'empty analysis',
  ],
  stopped: ['quiet sample', 'stopped'],
};
function stateIn(phase: Phase): InvestigationState {
  const [first, ...rest] = WAYS[phase].map((name) => EVENTS[name]);
  const open: InvestigationEvent[] = phase === 'idle' ? [] : [{ type: 'alert', alert: LEAK }];
  return run([first ?? EVENTS['quiet sample'], ...open, ...rest]).state;
}

/** Next phase, then the actions. `-` changes nothing. */
const TABLE: Readonly<Record<Phase, Readonly<Record<EventName, string>>>> = {
  idle: {
    'alert opened': 'waiting-for-snapshot: read-profile, take-snapshot b/1',
    'alert closed': '-',
    'located nothing': '-',
    'located line': '-',
    'quiet sample': 'idle:',
    'busy sample': 'idle:',
    'snapshot written': '-',
    'snapshot refused': '-',
    'clear analysis': '-',
    'empty analysis': '-',
    'no analysis': '-',
    profile: '-',
    stopped: 'stopped:',
  },
  'waiting-for-snapshot': {
    'alert opened': 'waiting-for-snapshot:',
    'alert closed': 'waiting-for-snapshot:',
    'located nothing': '-',
    'located line': 'waiting-for-snapshot: update a culprit',
    'quiet sample': 'waiting-for-snapshot:',
    'busy sample': 'waiting-for-snapshot:',
    'snapshot written': 'waiting-for-traffic: update a snapshot+culpritBecause',
    'snapshot refused': 'waiting-for-traffic: update a snapshot+culpritBecause',
    'clear analysis': '-',
    'empty analysis': '-',
    'no analysis': '-',
    profile: '-',
    stopped: 'stopped:',
  },
  'waiting-for-traffic': {
    'alert opened': 'waiting-for-traffic: update b snapshot+culpritBecause',
    'alert closed': 'idle:',
    'located nothing': '-',
    'located line': 'idle: update a culprit',
    'quiet sample': 'waiting-for-traffic:',
    'busy sample': 'waiting-for-snapshot: take-snapshot a/2',
    'snapshot written': '-',
    'snapshot refused': '-',
    'clear analysis': '-',
    'empty analysis': '-',
    'no analysis': '-',
    profile: '-',
    stopped: 'stopped:',
  },
  comparing: {
    'alert opened': 'comparing: update b snapshot, update b snapshot+culpritBecause',
    'alert closed': 'comparing:',
    'located nothing': '-',
    'located line': 'comparing: update a culprit',
    'quiet sample': 'comparing:',
    'busy sample': 'comparing:',
    'snapshot written': '-',
    'snapshot refused': '-',
    'clear analysis': 'waiting-for-profile: stop-profile',
    'empty analysis': 'waiting-for-profile: stop-profile',
    'no analysis': 'waiting-for-profile: update a culpritBecause, stop-profile',
    profile: '-',
    stopped: 'stopped:',
  },
  'waiting-for-profile': {
    'alert opened': 'waiting-for-profile: update b snapshot, update b snapshot+culpritBecause',
    'alert closed': 'waiting-for-profile:',
    'located nothing': '-',
    'located line': 'waiting-for-profile: update a culprit',
    'quiet sample': 'waiting-for-profile:',
    'busy sample': 'waiting-for-profile:',
    'snapshot written': '-',
    'snapshot refused': '-',
    'clear analysis': '-',
    'empty analysis': '-',
    'no analysis': '-',
    // The profile alone names an unclear line, so a third snapshot follows.
    profile: 'waiting-for-traffic: attach-analysis a, update a culprit',
    stopped: 'stopped:',
  },
  stopped: {
    'alert opened': '-',
    'alert closed': '-',
    'located nothing': '-',
    'located line': '-',
    'quiet sample': '-',
    'busy sample': '-',
    'snapshot written': '-',
    'snapshot refused': '-',
    'clear analysis': '-',
    'empty analysis': '-',
    'no analysis': '-',
    profile: '-',
    stopped: '-',
  },
};

function describeAction(action: InvestigationAction): string {
  switch (action.type) {
    case 'take-snapshot':
      return `take-snapshot ${action.alertId}/${action.label}`;
    case 'update-alert':
      return `update ${action.alertId} ${Object.keys(action.update).join('+')}`;
    case 'attach-analysis':
      return `attach-analysis ${action.alertId}`;
    default:
      return action.type;
  }
}

const CASES = Object.entries(TABLE).flatMap(([phase, row]) =>
  Object.entries(row).map(([event, result]) => [phase as Phase, event as EventName, result] as const),
);

test.each(CASES)('in %s the event "%s" leads to "%s"', (phase, event, expected) => {
  const before = stateIn(phase);
  expect(phaseOf(before)).toBe(phase);
  const frozen = JSON.stringify([...before.followed, before.round, before.profile]);
  const { state, actions } = transition(before, EVENTS[event], 5 * 60_000);
  const isUnchanged = actions.length === 0 && phaseOf(state) === phase && expected === '-';
  const result = `${phaseOf(state)}: ${actions.map(describeAction).join(', ')}`.trimEnd();
  expect(isUnchanged ? '-' : result).toBe(expected);
  // The function is pure.
  expect(JSON.stringify([...before.followed, before.round, before.profile])).toBe(frozen);
});

describe('with a located listener', () => {
  const rows: InvestigationEvent = {
    type: 'sample',
    sample: sample(1_000, { emitters: [LISTENER] }),
    isSuspected: false,
  };
  const opened: InvestigationEvent = { type: 'alert', alert: LISTENERS };
  const located: InvestigationEvent = { type: 'line-located', alertId: 'c', culprit: LOCATED };

  test('locates the line first, then takes one snapshot and ends', () => {
    const first = run([rows, opened]);
    expect(first.actions).toEqual([{ type: 'locate-listener', alertId: 'c', emitter: 'bus', event: 'tick' }]);
    expect(first.phase).toBe('idle');
    const second = run([located], first.state);
    expect(second.actions.map(describeAction)).toEqual(['take-snapshot c/1', 'update c culprit']);
    const third = run([EVENTS['snapshot written']], second.state);
    expect(third.actions.map(describeAction)).toEqual(['update c snapshot']);
    expect(third.phase).toBe('idle');
  });

  test.each([
    ['in Node', { file: 'node:events', line: 1_157 }],
    ['in a package', { file: '/srv/node_modules/rxjs/fromEvent.js', package: 'rxjs' }],
    ['in no file', { file: null, line: null }],
  ])('a listener %s is named, and the search for the line of the application goes on', (_case, place) => {
    const { state } = run([rows, opened]);
    const culprit = { ...LOCATED, ...place };
    const second = run([{ type: 'line-located', alertId: 'c', culprit }], state);
    expect(second.actions.map(describeAction)).toEqual(['take-snapshot c/1', 'update c culprit']);
    const third = run([EVENTS['snapshot written']], second.state);
    expect(third.actions.map(describeAction)).toEqual(['update c snapshot']);
    expect(third.phase).toBe('waiting-for-traffic');
  });

  test('joins a round without waiting when its first snapshot is written', () => {
    const { state } = run([rows, { type: 'alert', alert: LEAK }, EVENTS['snapshot written'], opened]);
    const { actions, state: after } = run([located], state);
    expect(actions.map(describeAction)).toEqual(['update c snapshot', 'update c culprit']);
    expect([...(after.round?.alerts.keys() ?? [])]).toEqual(['a']);
  });

  test('an alert whose line is found while its snapshot is written gets the snapshot, and the round ends with it', () => {
    const renamed: InvestigationEvent = { type: 'alert', alert: { ...LISTENERS, id: 'a' } };
    const { state } = run([rows, { type: 'alert', alert: LEAK }, renamed]);
    const found = run([EVENTS['located line']], state);
    expect(found.phase).toBe('waiting-for-snapshot');
    const { actions, phase } = run([EVENTS['snapshot written']], found.state);
    expect(actions.map(describeAction)).toEqual(['update a snapshot']);
    expect(phase).toBe('idle');
  });

  test('an emitter that no sample has shown joins a round like any other alert', () => {
    expect(run([opened]).actions.map(describeAction)).toEqual(['take-snapshot c/1']);
  });

  test('a reply for a closed alert changes nothing', () => {
    const closed: InvestigationEvent = { type: 'alert', alert: { ...LISTENERS, event: 'closed' } };
    expect(run([rows, opened, closed, located])).toMatchObject({ actions: [], phase: 'idle' });
  });

  test('an alert that a clearer finding renames is located, and leaves its round', () => {
    const renamed: InvestigationEvent = { type: 'alert', alert: { ...LISTENERS, id: 'a', event: 'updated' } };
    const { state, actions } = run([
      rows,
      { type: 'alert', alert: LEAK },
      EVENTS['snapshot written'],
      renamed,
    ]);
    expect(actions.map(describeAction)).toEqual(['locate-listener']);
    const line: InvestigationEvent = { ...EVENTS['located line'] };
    expect(run([line], state)).toMatchObject({ phase: 'idle' });
  });
});

test('an alert about resources asks for the line of their callbacks, and joins a round with the reply', () => {
  const alert = { ...LEAK, kind: 'resource-growth', subject: 'file_watcher' } as const;
  const { state, actions } = run([{ type: 'alert', alert }]);
  expect(actions).toEqual([{ type: 'locate-resources', alertId: 'a', resource: 'file_watcher' }]);
  expect(run([EVENTS['located line']], state).actions.map(describeAction)).toEqual([
    'take-snapshot a/1',
    'update a culprit',
  ]);
  expect(run([EVENTS['located nothing']], state).actions.map(describeAction)).toEqual(['take-snapshot a/1']);
});

test('after a failed analysis the profile names a line, and the round ends', () => {
  const failed = transition(stateIn('comparing'), EVENTS['no analysis'], 5 * 60_000);
  const { actions, phase } = run([EVENTS.profile], failed.state);
  expect(actions.map(describeAction)).toEqual(['update a culprit']);
  expect(phase).toBe('idle');
});

test('a condition is not investigated, exhaustion is', () => {
  const condition = alertOf({ kind: 'loop-lag', family: 'condition' });
  expect(run([{ type: 'alert', alert: condition }]).phase).toBe('idle');
  const exhaustion = alertOf({ kind: 'exhaustion', family: 'condition' });
  expect(run([{ type: 'alert', alert: exhaustion }]).phase).toBe('waiting-for-snapshot');
});

test('waits for a profile that is stopping already', () => {
  const quiet = (isSuspected: boolean): InvestigationEvent => ({
    type: 'sample',
    sample: sample(0),
    isSuspected,
  });
  const stopping = run([quiet(true), ...Array.from({ length: 16 }, () => quiet(false))]);
  expect(stopping.actions.map(describeAction)).toEqual(['stop-profile']);
  const refused = run([{ type: 'alert', alert: LEAK }, EVENTS['snapshot refused']], stopping.state);
  const busy = run([EVENTS['busy sample']], refused.state);
  expect(busy).toMatchObject({ phase: 'waiting-for-profile', actions: [] });
  const named = run([EVENTS['profile']], busy.state);
  expect(named.actions.map(describeAction)).toEqual(['update a culprit']);
  expect(named.phase).toBe('idle');
});

test('a time scale of 60 makes the windows and the quota 60 times as fast', () => {
  let state = initialState(60);
  const at = (event: InvestigationEvent, ms: number): string[] => {
    const next = transition(state, event, ms);
    state = next.state;
    return next.actions.map(describeAction);
  };
  at({ type: 'alert', alert: LEAK }, 0);
  at(EVENTS['snapshot written'], 0);
  expect(at({ type: 'sample', sample: sample(0), isSuspected: false }, 14_900)).toEqual([]);
  expect(at({ type: 'sample', sample: sample(0), isSuspected: false }, 15_000)).toEqual([
    'take-snapshot a/2',
  ]);
});
