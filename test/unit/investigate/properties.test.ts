import fc from 'fast-check';
import {
  initialState,
  type AlertUpdate,
  type InvestigationAction,
  type InvestigationEvent,
} from '../../../src/investigate/investigation-state.ts';
import { phaseOf, transition } from '../../../src/investigate/investigation.ts';
import type { Alert, Kind, Snapshot } from '../../../src/types/index.ts';
import { alertOf } from '../../support/alerts.ts';
import { analysisWith, clientsSuspect } from '../../support/analyses.ts';
import { byTransport, sampleOf } from '../../support/samples.ts';

const HOUR_MS = 3_600_000;
const IDS = ['a', 'b', 'c', 'd'];
const KINDS: readonly Kind[] = [
  'heap-growth',
  'listener-accumulation',
  'resource-growth',
  'zombie-connections',
  'loop-lag',
];
const LISTENER = { emitter: 'bus', event: 'tick', listeners: 9, eventNames: null, source: 'app' } as const;

/** One step of a simulation. `reply` answers the oldest request with an outcome by number. */
type Step =
  | { readonly type: 'open'; readonly id: number; readonly kind: number; readonly minutesLeft: number | null }
  | { readonly type: 'close'; readonly id: number }
  | {
      readonly type: 'sample';
      readonly minutes: number;
      readonly opened: number;
      readonly isSuspected: boolean;
    }
  | { readonly type: 'reply'; readonly outcome: number };

const STEP: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    type: fc.constant('open' as const),
    id: fc.nat(IDS.length - 1),
    kind: fc.nat(KINDS.length - 1),
    minutesLeft: fc.option(fc.integer({ min: 1, max: 600 })),
  }),
  fc.record({ type: fc.constant('close' as const), id: fc.nat(IDS.length - 1) }),
  fc.record({
    type: fc.constant('sample' as const),
    minutes: fc.integer({ min: 0, max: 20 }),
    opened: fc.nat(300),
    isSuspected: fc.boolean(),
  }),
  fc.record({ type: fc.constant('reply' as const), outcome: fc.nat(5) }),
);

const REPLIES = ['locate-listener', 'locate-resources', 'take-snapshot', 'analyse', 'stop-profile'];

/** A watcher around the state machine: it runs the actions and checks what must always hold. */
class Simulation {
  state = initialState(1);
  nowMs = 0;
  opened = 0;
  readonly open = new Map<string, Alert>();
  readonly updates = new Map<string, AlertUpdate[]>();
  readonly requests: InvestigationAction[] = [];
  readonly roundStartsMs: number[] = [];
  afterDispatch: () => void = () => undefined;

  step(step: Step): void {
    if (step.type === 'open') this.#openAlert(step);
    else if (step.type === 'close') this.#closeAlert(IDS[step.id] ?? '');
    else if (step.type === 'sample') this.#sample(step);
    else this.#reply(step.outcome);
  }

  /** Answers every request and lets traffic pass until nothing is under way. */
  drain(): void {
    for (
      let turn = 0;
      turn < 100 && (phaseOf(this.state) !== 'idle' || this.requests.length > 0);
      turn += 1
    ) {
      while (this.requests.length > 0) this.#reply(turn);
      this.#sample({ type: 'sample', minutes: 16, opened: 300, isSuspected: false });
    }
    expect(phaseOf(this.state)).toBe('idle');
  }

  #openAlert({ id: index, kind, minutesLeft }: Extract<Step, { type: 'open' }>): void {
    const id = IDS[index] ?? '';
    const alert = alertOf({
      id,
      kind: KINDS[kind] ?? 'heap-growth',
      family: KINDS[kind] === 'loop-lag' ? 'condition' : 'leak',
      subject: 'bus tick',
      event: this.open.has(id) ? 'updated' : 'opened',
      timeToLimit:
        minutesLeft === null ? null : { ms: minutesLeft * 60_000, lowMs: 0, highMs: null, limit: 'heap' },
    });
    if (!this.open.has(id)) this.updates.set(id, []);
    this.open.set(id, alert);
    this.#dispatch({ type: 'alert', alert });
  }

  #closeAlert(id: string): void {
    const alert = this.open.get(id);
    if (alert === undefined) return;
    this.open.delete(id);
    this.#dispatch({ type: 'alert', alert: { ...alert, event: 'closed' } });
  }

  #sample({ minutes, opened, isSuspected }: Extract<Step, { type: 'sample' }>): void {
    this.nowMs += minutes * 60_000;
    this.opened += opened;
    const { connections } = sampleOf();
    const openedTotal = byTransport(this.opened);
    const sample = sampleOf({ connections: { ...connections, openedTotal }, emitters: [LISTENER] });
    this.#dispatch({ type: 'sample', sample, isSuspected });
  }

  #reply(outcome: number): void {
    const request = this.requests.shift();
    if (request === undefined) return;
    const reply = replyTo(request, outcome);
    const isRefused = reply.type === 'snapshot-ended' && reply.snapshot.outcome === 'refused';
    const isFirst = request.type === 'take-snapshot' && request.label === '1';
    // The server was not stopped.
    if (isRefused && isFirst) this.roundStartsMs.pop();
    this.#dispatch(reply);
  }

  #dispatch(event: InvestigationEvent): void {
    const wasIdle = phaseOf(this.state) === 'idle';
    const { state, actions } = transition(this.state, event, this.nowMs);
    this.state = state;
    for (const action of actions) {
      if (wasIdle && action.type === 'take-snapshot') this.roundStartsMs.push(this.nowMs);
      this.#run(action);
    }
    this.afterDispatch();
  }

  #run(action: InvestigationAction): void {
    if (REPLIES.includes(action.type)) this.requests.push(action);
    const inFlight = this.requests.filter(({ type }) => type === 'take-snapshot');
    expect(inFlight.length).toBeLessThanOrEqual(1);
    if (action.type !== 'update-alert' && action.type !== 'attach-analysis') return;
    // A closed alert gets no update.
    expect([...this.open.keys()]).toContain(action.alertId);
    if (action.type === 'update-alert') this.updates.get(action.alertId)?.push(action.update);
  }
}

function replyTo(request: InvestigationAction, outcome: number): InvestigationEvent {
  const culprit = {
    text: 't',
    name: 't',
    file: null,
    line: null,
    function: null,
    package: null,
    confidence: 0.9,
  };
  switch (request.type) {
    case 'locate-listener':
    case 'locate-resources':
      return {
        type: 'line-located',
        alertId: request.alertId,
        culprit: outcome % 2 === 0 ? culprit : null,
      };
    case 'take-snapshot':
      return { type: 'snapshot-ended', snapshot: snapshotBy(outcome, request.label) };
    case 'analyse':
      return { type: 'analysis-ended', analysis: analysisBy(outcome) };
    default: {
      const line = { file: '/app/a.js', line: 1, function: null, bytes: 1, share: outcome / 5 };
      const profile = { intervalBytes: 1, totalBytes: 1, isGrowth: true, lines: [line] };
      return { type: 'profile-ended', profile: outcome === 0 ? null : profile };
    }
  }
}

function snapshotBy(outcome: number, label: string): Snapshot {
  if (outcome === 4) return { outcome: 'refused', reason: 'too little memory' };
  if (outcome === 5) return { outcome: 'failed', code: 'WSGUARD_CAPTURE_FAILED', reason: 'disk' };
  return { outcome: 'written', file: label, method: 'inprocess', pauseMs: 1, bytes: 1, redacted: true };
}

function analysisBy(outcome: number) {
  if (outcome === 5) return 'it was ended';
  if (outcome === 4) return analysisWith();
  return analysisWith(clientsSuspect({ confidence: [0.2, 0.4, 0.5, 0.9][outcome] ?? 0.9 }));
}

/** A fresh seed each run; fast-check prints it with the failure. `WSGUARD_TEST_SEED` repeats one. */
const seed = Number(process.env['WSGUARD_TEST_SEED'] ?? Date.now() % 2 ** 31);
const RUNS = { numRuns: 50, seed };

test('never takes two snapshots at once and never updates a closed alert', () => {
  let rounds = 0;
  let updates = 0;
  fc.assert(
    fc.property(fc.array(STEP, { maxLength: 120, size: 'max' }), (steps) => {
      const simulation = new Simulation();
      // The simulation checks both after each action.
      for (const step of steps) simulation.step(step);
      simulation.drain();
      rounds += simulation.roundStartsMs.length;
      updates += [...simulation.updates.values()].flat().length;
    }),
    RUNS,
  );
  // Snapshots were taken and alerts updated, so both rules were tested.
  expect(rounds).toBeGreaterThan(0);
  expect(updates).toBeGreaterThan(0);
});

/** An alert that opens, gets a snapshot and closes: the shortest round. */
const SHORT_ROUND: fc.Arbitrary<Step[]> = fc
  .record({ id: fc.nat(IDS.length - 1), minutes: fc.integer({ min: 0, max: 300 }) })
  .map(({ id, minutes }) => [
    { type: 'sample', minutes, opened: 0, isSuspected: false },
    { type: 'open', id, kind: 0, minutesLeft: null },
    { type: 'reply', outcome: 0 },
    { type: 'close', id },
  ]);

test('never starts more than six rounds within a day, those without a snapshot not counted', () => {
  let refusals = 0;
  fc.assert(
    fc.property(
      fc.array(
        fc.oneof(
          SHORT_ROUND,
          STEP.map((step) => [step]),
        ),
        { maxLength: 60, size: 'max' },
      ),
      (steps) => {
        const simulation = new Simulation();
        for (const step of steps.flat()) simulation.step(step);
        const { roundStartsMs } = simulation;
        roundStartsMs.forEach((startMs, index) => {
          const sixthBefore = roundStartsMs[index - 6];
          if (sixthBefore !== undefined) expect(startMs - sixthBefore).toBeGreaterThan(24 * HOUR_MS);
        });
        for (const { culpritBecause } of [...simulation.updates.values()].flat())
          if (culpritBecause?.includes('quota') === true) refusals += 1;
      },
    ),
    RUNS,
  );
  // The quota was reached, so the property was tested.
  expect(refusals).toBeGreaterThan(0);
});

test('an alert whose round ended has a root cause or the reason why there is none', () => {
  let reasons = 0;
  fc.assert(
    fc.property(fc.array(STEP, { maxLength: 120, size: 'max' }), (steps) => {
      const simulation = new Simulation();
      simulation.afterDispatch = () => {
        if (phaseOf(simulation.state) === 'idle') reasons += checkExplained(simulation);
      };
      for (const step of steps) simulation.step(step);
      simulation.drain();
    }),
    RUNS,
  );
  // Some rounds ended without a root cause, so the rule was tested.
  expect(reasons).toBeGreaterThan(0);
});

/** Checks the reasons of all alerts without a root cause, and returns their number. */
function checkExplained({ state, updates }: Simulation): number {
  let reasons = 0;
  for (const [id, { hasJoined }] of state.followed) {
    const all = updates.get(id) ?? [];
    if (!hasJoined || all.some(({ culprit }) => culprit !== undefined)) continue;
    const reason = all.findLast(({ culpritBecause }) => culpritBecause !== undefined)?.culpritBecause;
    expect(reason).toMatch(/^(?:no (?:second |third )?snapshot|the snapshots)/);
    reasons += 1;
  }
  return reasons;
}

test('replies without a request change nothing while it is idle', () => {
  const events: fc.Arbitrary<InvestigationEvent> = fc.constantFrom(
    { type: 'snapshot-ended', snapshot: snapshotBy(0, '1') } as const,
    { type: 'analysis-ended', analysis: analysisBy(3) } as const,
    { type: 'profile-ended', profile: null } as const,
    { type: 'line-located', alertId: 'a', culprit: null } as const,
  );
  fc.assert(
    fc.property(fc.array(events), (list) => {
      let state = initialState(1);
      for (const event of list) {
        const next = transition(state, event, 0);
        expect(next.actions).toEqual([]);
        state = next.state;
      }
      expect(state).toEqual(initialState(1));
    }),
    RUNS,
  );
});
