import { createGuard } from '../../../src/core/guard.ts';
import type { AlertUpdate } from '../../../src/investigate/investigation-state.ts';
import type { Alert, AllocationProfile, Analysis, Culprit, Snapshot } from '../../../src/types/index.ts';
import type { WatcherContext } from '../../../src/watcher/context.ts';
import { InvestigationRunner } from '../../../src/watcher/investigation-runner.ts';
import { analysisWith, clientsSuspect } from '../../support/analyses.ts';
import { alertOf } from '../../support/alerts.ts';
import { createFakeClock } from '../../support/fake-clock.ts';
import { byTransport, sampleOf } from '../../support/samples.ts';

const writtenOf = (file: string): Snapshot => ({
  outcome: 'written',
  file,
  method: 'inprocess',
  pauseMs: 900,
  bytes: 9_000_000,
  redacted: true,
});

interface Script {
  readonly snapshots?: readonly (Snapshot | Error)[];
  readonly analyses?: readonly (Analysis | string)[];
  readonly profile?: AllocationProfile | null;
  readonly located?: Culprit | null;
}

const LISTENER = { emitter: 'bus', event: 'tick', listeners: 900, eventNames: null, source: 'app' } as const;

/** A runner whose snapshots, analyses and replies from the application thread come from a script. */
function start({ snapshots = [], analyses = [], profile = null, located = null }: Script) {
  const clock = createFakeClock();
  const updates: [string, AlertUpdate][] = [];
  const analysed: (readonly string[])[] = [];
  const attached: string[] = [];
  const requests: string[] = [];
  let taken = 0;
  const guard = createGuard(() => undefined);
  const context = { clock, guard, setup: { config: { timeScale: 1 } } } as unknown as WatcherContext;
  const runner = new InvestigationRunner(context, {
    link: {
      send: () => undefined,
      close: () => undefined,
      request(name: string, value: unknown) {
        requests.push(`${name} ${JSON.stringify(value)}`);
        return Promise.resolve(name.startsWith('locate') ? located : value === 'stop' ? profile : null);
      },
    } as never,
    snapshots: {
      take(alertId, label) {
        const next = snapshots[taken] ?? writtenOf(`${alertId}/${label}`);
        taken += 1;
        return next instanceof Error ? Promise.reject(next) : Promise.resolve(next);
      },
      analyse(files) {
        analysed.push([...files]);
        return Promise.resolve(analyses[analysed.length - 1] ?? 'no more replies in this test');
      },
      takeCensus: () => Promise.reject(new Error('not in this test')),
      takeDue: () => undefined,
    },
    updateAlert: (alertId, update) => void updates.push([alertId, update]),
    attachAnalysis: (alertId) => void attached.push(alertId),
  });
  const settle = async (): Promise<void> => {
    for (let tick = 0; tick < 50; tick += 1) await Promise.resolve();
  };
  const sample = async (opened: number, afterMs = 15_000, isSuspected = profile !== null): Promise<void> => {
    clock.advance(afterMs);
    const { connections } = sampleOf();
    const openedTotal = byTransport(opened);
    runner.sample(
      sampleOf({ connections: { ...connections, openedTotal }, emitters: [LISTENER] }),
      isSuspected,
    );
    await settle();
  };
  const alert = async (opened: Alert): Promise<void> => {
    runner.alert(opened);
    await settle();
  };
  const lines = (): unknown[] =>
    updates.flatMap(([id, { culprit }]) => (culprit ? [[id, culprit.line]] : []));
  return { runner, updates, analysed, attached, requests, sample, alert, lines, count: () => taken };
}

const LEAK = alertOf({ id: 'a', timeToLimit: null, culprit: null });
const LISTENERS = { ...LEAK, kind: 'listener-accumulation', subject: 'bus tick' } as const;
const LOCATED: Culprit = {
  text: 'listener of tick',
  name: 'tick',
  file: 'server.js',
  line: 7,
  function: 'onConnection',
  package: null,
  confidence: 0.95,
};

test('takes the second snapshot after 200 more connections and names the root cause from the pair', async () => {
  const { alert, sample, lines, analysed, count } = start({
    analyses: [analysisWith(clientsSuspect())],
  });
  await sample(1_000);
  await alert(LEAK);
  await sample(1_199);
  expect(count()).toBe(1);
  await sample(1_200);
  expect(count()).toBe(2);
  expect(analysed).toEqual([['a/1', 'a/2']]);
  expect(lines()).toEqual([['a', 41]]);
});

test('takes the second snapshot after 15 min without that many connections', async () => {
  const { alert, sample, count } = start({ analyses: [analysisWith(clientsSuspect())] });
  await sample(0);
  await alert(LEAK);
  await sample(3, 14 * 60_000);
  expect(count()).toBe(1);
  await sample(4, 60_000);
  expect(count()).toBe(2);
});

test('takes the second snapshot sooner when the memory limit is near', async () => {
  const { alert, sample, count } = start({ analyses: [analysisWith(clientsSuspect())] });
  const timeToLimit = { ms: 240_000, lowMs: 200_000, highMs: null, limit: 'heap' } as const;
  await alert({ ...LEAK, timeToLimit });
  await sample(3, 60_000);
  expect(count()).toBe(2);
});

test('takes a third snapshot when two are not clear, and names an unclear root cause rather than none', async () => {
  const { alert, sample, updates, analysed } = start({
    analyses: [
      analysisWith(clientsSuspect({ confidence: 0.4 })),
      analysisWith(clientsSuspect({ confidence: 0.4 })),
    ],
  });
  await alert(LEAK);
  await sample(400);
  await sample(800);
  await sample(1_200);
  expect(analysed.map((files) => files.length)).toEqual([2, 3]);
  expect(updates.at(-1)?.[1].culprit?.confidence).toBe(0.4);
  expect(updates.map(([, { culpritBecause }]) => culpritBecause).filter(Boolean)).toEqual([
    'investigating: the first snapshot is taken, a second one follows after 200 more connections or 15 min',
  ]);
});

test('says so when three snapshots show no growth', async () => {
  const { alert, sample, updates } = start({ analyses: [analysisWith(), analysisWith()] });
  await alert(LEAK);
  await sample(400);
  await sample(800);
  expect(updates.at(-1)).toEqual([
    'a',
    { culpritBecause: 'the snapshots do not show one container that grows' },
  ]);
});

test('a refused first snapshot ends the round and is the reason why no root cause is named', async () => {
  const refused: Snapshot = { outcome: 'refused', reason: '90 MiB are left', needBytes: 3e8, haveBytes: 9e7 };
  const { alert, updates, sample, count } = start({ snapshots: [refused] });
  await alert(LEAK);
  await sample(5_000);
  const culpritBecause = 'no snapshot: 90 MiB are left';
  expect(updates[0]).toEqual(['a', { snapshot: refused, culpritBecause }]);
  expect(updates.flatMap(([, { culprit }]) => culprit ?? [])).toEqual([]);
  expect(count()).toBe(1);
});

test('after a refusal the allocation profile names the line once there was more traffic', async () => {
  const refused: Snapshot = { outcome: 'refused', reason: '90 MiB are left' };
  const line = { file: 'server.js', line: 40, function: 'onConnection', bytes: 3e7, share: 0.75 };
  const profile = { intervalBytes: 2e6, totalBytes: 4e7, isGrowth: true, lines: [line] };
  const { alert, sample, lines } = start({ snapshots: [refused], profile });
  await alert({ ...LEAK, kind: 'registry-growth' });
  expect(lines()).toEqual([]);
  await sample(5_000);
  expect(lines()).toEqual([['a', 40]]);
});

test('when the second snapshot is refused the first one alone names the root cause', async () => {
  const refused: Snapshot = { outcome: 'refused', reason: 'the stop would be too long' };
  const { alert, updates, sample, lines, analysed } = start({
    snapshots: [writtenOf('a/1'), refused],
    analyses: [analysisWith(clientsSuspect({ growth: null, confidence: 0.6 }))],
  });
  await alert({ ...LEAK, kind: 'registry-growth' });
  await sample(5_000);
  expect(analysed).toEqual([['a/1']]);
  expect(lines()).toEqual([['a', 41]]);
  const reasons = updates.flatMap(([, { culpritBecause }]) => culpritBecause ?? []);
  expect(reasons.at(-1)).toBe('no second snapshot to compare with: the stop would be too long');
});

test('an alert with a located listener gets the first snapshot only', async () => {
  const { alert, updates, sample, requests, count } = start({ located: LOCATED });
  await sample(0);
  await alert(LISTENERS);
  await sample(5_000);
  expect(requests).toEqual(['locateListener {"emitter":"bus","event":"tick"}']);
  expect(count()).toBe(1);
  expect(updates.map(([, { snapshot, culprit }]) => snapshot?.outcome ?? culprit?.line)).toEqual([
    7,
    'written',
  ]);
});

test('an alert about timers asks the application thread for their callbacks', async () => {
  const { alert, updates, sample, requests } = start({ located: LOCATED });
  await sample(0);
  await alert({ ...LEAK, kind: 'resource-growth', subject: 'timer' });
  expect(requests).toEqual(['locateResources "timer"']);
  expect(updates.some(([, { culprit }]) => culprit?.line === LOCATED.line)).toBe(true);
});

test('an alert that opens meanwhile joins the round and gets its snapshots and its root cause', async () => {
  const { alert, sample, lines, updates, count, attached } = start({
    analyses: [analysisWith(clientsSuspect())],
  });
  await alert(LEAK);
  await alert({ ...LEAK, id: 'b' });
  expect(updates.filter(([id]) => id === 'b').map(([, { snapshot }]) => snapshot?.outcome)).toEqual([
    'written',
  ]);
  await sample(400);
  expect(count()).toBe(2);
  expect(attached).toEqual(['a', 'b']);
  expect(lines()).toEqual([
    ['a', 41],
    ['b', 41],
  ]);
});

test('a closed alert is not investigated any further', async () => {
  const { alert, sample, updates, count } = start({});
  await alert(LEAK);
  await alert({ ...LEAK, event: 'closed' });
  const before = updates.length;
  await sample(5_000);
  expect(count()).toBe(1);
  expect(updates.length).toBe(before);
});

test('starts at most six rounds a day; the seventh alert says so', async () => {
  const { alert, updates, sample, count } = start({ located: LOCATED });
  await sample(0);
  for (const id of ['1', '2', '3', '4', '5', '6']) {
    await alert({ ...LISTENERS, id });
    await sample(0, 1_000);
  }
  await alert({ ...LEAK, id: '7' });
  expect(count()).toBe(6);
  expect(updates.at(-1)?.[0]).toBe('7');
  expect(updates.at(-1)?.[1].culpritBecause).toMatch(/6 rounds .* within a day/);
});

test('a fault while a snapshot is taken is a failed snapshot, and the round goes on without it', async () => {
  const { alert, updates, sample } = start({ snapshots: [new Error('boom')] });
  await alert(LEAK);
  expect(updates).toEqual([
    [
      'a',
      {
        snapshot: expect.objectContaining({ outcome: 'failed', code: 'WSGUARD_CAPTURE_FAILED' }),
        culpritBecause: 'no snapshot: a fault of the agent, see the log',
      },
    ],
  ]);
  await sample(5_000);
  await alert({ ...LEAK, id: 'b' });
  expect(updates.at(-1)?.[1].snapshot?.outcome).toBe('written');
});

test('starts a profile while a leak is suspected and stops it 15 min after the last suspicion', async () => {
  const { sample, requests } = start({});
  await sample(0, 15_000, true);
  await sample(0, 15_000, true);
  await sample(0, 14 * 60_000, false);
  expect(requests).toEqual(['profile "start"']);
  await sample(0, 61_000, false);
  expect(requests).toEqual(['profile "start"', 'profile "stop"']);
});

test('does nothing after stop()', async () => {
  const { runner, alert, sample, count } = start({});
  runner.stop();
  await alert(LEAK);
  await sample(5_000);
  expect(count()).toBe(0);
});
