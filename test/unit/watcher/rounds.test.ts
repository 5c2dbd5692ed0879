import { createGuard } from '../../../src/core/guard.ts';
import type { AllocationProfile, Analysis, Snapshot } from '../../../src/types/index.ts';
import type { News } from '../../../src/watcher/follow-up.ts';
import { Rounds } from '../../../src/watcher/rounds.ts';
import { analysisOf, suspectOf } from '../../support/analysis.ts';
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
  readonly snapshots?: readonly Snapshot[];
  readonly analyses?: readonly (Analysis | string)[];
  readonly profile?: AllocationProfile | null;
}

function start({ snapshots = [], analyses = [], profile = null }: Script) {
  const clock = createFakeClock();
  const news: [string, News][] = [];
  const analysed: (readonly string[])[] = [];
  let taken = 0;
  const rounds = new Rounds({
    clock,
    guard: createGuard(() => undefined),
    timeScale: 1,
    take: (alertId, label) => Promise.resolve(snapshots[taken++] ?? writtenOf(`${alertId}/${label}`)),
    analyse: (files) => {
      analysed.push([...files]);
      return Promise.resolve(analyses[analysed.length - 1] ?? 'no more answers in this test');
    },
    learn: (alertId, what) => void news.push([alertId, what]),
    analysed: () => undefined,
    profile: () => Promise.resolve(profile),
  });
  const settle = async (): Promise<void> => {
    for (let tick = 0; tick < 20; tick += 1) await Promise.resolve();
  };
  const sample = async (served: number, afterMs = 15_000): Promise<void> => {
    clock.advance(afterMs);
    const { connections } = sampleOf();
    rounds.sample(sampleOf({ connections: { ...connections, openedTotal: byTransport(served) } }));
    await settle();
  };
  const culprits = (): unknown[] =>
    news.flatMap(([id, { culprit }]) => (culprit ? [[id, culprit.line]] : []));
  return { rounds, news, analysed, sample, settle, culprits, count: () => taken };
}

const LEAK = alertOf({ id: 'a', timeToLimit: null, culprit: null });

test('a second snapshot follows when hundreds more were served, and the pair names the culprit', async () => {
  const { rounds, sample, settle, culprits, analysed, count } = start({
    analyses: [analysisOf(suspectOf())],
  });
  await sample(1_000);
  rounds.join(LEAK, false);
  await settle();
  await sample(1_199);
  expect(count()).toBe(1);
  await sample(1_200);
  expect(count()).toBe(2);
  expect(analysed).toEqual([['a/1', 'a/2']]);
  expect(culprits()).toEqual([['a', 41]]);
});

test('or a window later, whatever was served', async () => {
  const { rounds, sample, settle, count } = start({ analyses: [analysisOf(suspectOf())] });
  await sample(0);
  rounds.join(LEAK, false);
  await settle();
  await sample(3, 14 * 60_000);
  expect(count()).toBe(1);
  await sample(4, 60_000);
  expect(count()).toBe(2);
});

test('sooner where memory runs out', async () => {
  const { rounds, sample, settle, count } = start({ analyses: [analysisOf(suspectOf())] });
  const timeToLimit = { ms: 240_000, lowMs: 200_000, highMs: null, limit: 'heap' } as const;
  rounds.join({ ...LEAK, timeToLimit }, false);
  await settle();
  await sample(3, 60_000);
  expect(count()).toBe(2);
});

test('two that are not clear are followed by a third; an unclear name is better than none', async () => {
  const { rounds, sample, settle, news, analysed } = start({
    analyses: [analysisOf(suspectOf({ confidence: 0.4 })), analysisOf(suspectOf({ confidence: 0.4 }))],
  });
  rounds.join(LEAK, false);
  await settle();
  await sample(400);
  await sample(800);
  await sample(1_200);
  expect(analysed.map((files) => files.length)).toEqual([2, 3]);
  expect(news.at(-1)?.[1].culprit?.confidence).toBe(0.4);
  // While the second is awaited that is said; afterwards somebody is named.
  expect(news.map(([, { culpritBecause }]) => culpritBecause).filter(Boolean)).toEqual([
    'a second snapshot shows who holds more: after 200 more connections, or 15 min',
  ]);
});

test('snapshots that show nothing are said', async () => {
  const { rounds, sample, settle, news } = start({ analyses: [analysisOf(), analysisOf()] });
  rounds.join(LEAK, false);
  await settle();
  await sample(400);
  await sample(800);
  expect(news.at(-1)).toEqual([
    'a',
    { culpritBecause: 'the snapshots do not show one container that grows' },
  ]);
});

test('a refusal ends the round, with its numbers and as the reason why nobody is named', async () => {
  const refused: Snapshot = { outcome: 'refused', reason: '90 MiB are left', needBytes: 3e8, haveBytes: 9e7 };
  const { rounds, news, settle, sample, count } = start({ snapshots: [refused] });
  rounds.join(LEAK, false);
  await settle();
  await sample(5_000);
  const culpritBecause = 'no snapshot: 90 MiB are left';
  expect(news[0]).toEqual(['a', { snapshot: refused, culpritBecause }]);
  expect(news.flatMap(([, { culprit }]) => culprit ?? [])).toEqual([]);
  expect(count()).toBe(1);
});

test('after a refusal a profile of allocations names the line, once there was more traffic', async () => {
  const refused: Snapshot = { outcome: 'refused', reason: '90 MiB are left' };
  const line = { file: 'server.js', line: 40, function: 'onConnection', bytes: 3e7, share: 0.75 };
  const profile = { intervalBytes: 2e6, totalBytes: 4e7, lines: [line] };
  const { rounds, settle, sample, culprits } = start({ snapshots: [refused], profile });
  rounds.join({ ...LEAK, kind: 'registry-growth' }, false);
  await settle();
  expect(culprits()).toEqual([]);
  await sample(5_000);
  expect(culprits()).toEqual([['a', 40]]);
});

test('a second snapshot that is refused leaves the first one to name who holds most', async () => {
  const refused: Snapshot = { outcome: 'refused', reason: 'the stop would be too long' };
  const { rounds, news, settle, sample, culprits, analysed } = start({
    snapshots: [writtenOf('a/1'), refused],
    analyses: [analysisOf(suspectOf({ growth: null, confidence: 0.6 }))],
  });
  rounds.join({ ...LEAK, kind: 'registry-growth' }, false);
  await settle();
  await sample(5_000);
  expect(analysed).toEqual([['a/1']]);
  expect(culprits()).toEqual([['a', 41]]);
  const whys = news.flatMap(([, { culpritBecause }]) => culpritBecause ?? []);
  expect(whys.at(-1)).toBe('no second snapshot to compare with: the stop would be too long');
});

test('an alert whose line is known already gets the first snapshot only', async () => {
  const { rounds, news, settle, sample, count } = start({});
  rounds.join(LEAK, true);
  await settle();
  await sample(5_000);
  expect(count()).toBe(1);
  expect(news.map(([, { snapshot }]) => snapshot?.outcome)).toEqual(['written']);
});

test('an alert that opens meanwhile joins the round and shares what it finds', async () => {
  const { rounds, sample, settle, culprits, count } = start({ analyses: [analysisOf(suspectOf())] });
  rounds.join(LEAK, false);
  await settle();
  rounds.join({ ...LEAK, id: 'b' }, false);
  await sample(400);
  expect(count()).toBe(2);
  expect(culprits()).toEqual([
    ['a', 41],
    ['b', 41],
  ]);
});

test('an alert that closed is not looked into any further', async () => {
  const { rounds, sample, settle, count } = start({});
  rounds.join(LEAK, false);
  await settle();
  rounds.leave('a');
  await sample(5_000);
  expect(count()).toBe(1);
});

test('rounds of a day are bounded, and the seventh says so', async () => {
  const { rounds, news, settle, sample, count } = start({});
  for (const id of ['1', '2', '3', '4', '5', '6', '7']) {
    rounds.join({ ...LEAK, id }, true);
    await settle();
    await sample(0, 1_000);
  }
  expect(count()).toBe(6);
  expect(news.at(-1)?.[1].culpritBecause).toMatch(/6 rounds .* within a day/);
});
