import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FromWatcher, Link } from '../../../src/channel.ts';
import type { CaptureReadings, Failed, Refused, Snapshot } from '../../../src/types/index.ts';
import { createSnapshotQueue } from '../../../src/watcher/snapshot-queue.ts';
import { captureReadings } from '../../support/capture-readings.ts';
import { sampleOf } from '../../support/samples.ts';
import { createTestContext } from '../../support/watcher-context.ts';

/** A reply of the application thread, for which the decision is a refusal. */
const READINGS = captureReadings({ directoryRefused: 'everybody can write there' });
const REFUSED: Refused = { outcome: 'refused', reason: 'everybody can write there' };

let dir = '';
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'wsguard-queue-'))));
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** A queue whose requests stay pending until the test replies to them. */
function start(
  options: { snapshotBaseline?: 'on' | 'off'; timeScale?: number } = {},
  restarts = 0,
  forkUnavailable: string | null = null,
) {
  const context = createTestContext({ dir, ...options }, { restarts, forkUnavailable });
  const requests: unknown[] = [];
  const replies: ((reply: CaptureReadings | Failed | null) => void)[] = [];
  const ended: [Snapshot, string | null][] = [];
  const link = {
    request: (_name: string, request: unknown) =>
      new Promise((resolve) => {
        requests.push(request);
        replies.push(resolve);
      }),
  } as unknown as Link<FromWatcher>;
  const queue = createSnapshotQueue(context, {
    link,
    fingerprintOf: (alertId) => `fingerprint-${alertId}`,
    onEnded: (snapshot, alertId) => ended.push([snapshot, alertId]),
  });
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
  };
  const takeDueBaseline = async (uptimeMs: number): Promise<void> => {
    queue.takeDue(sampleOf({ uptimeMs }));
    await settle();
  };
  return { queue, requests, replies, ended, settle, takeDueBaseline };
}

test('snapshots are taken one after the other, each in the folder of its alert', async () => {
  const { queue, requests, replies, ended, settle } = start();
  const first = queue.take('a', '1');
  const second = queue.take(null, 'manual');
  await settle();
  expect(requests).toEqual([join(dir, 'a')]);
  replies[0]?.(READINGS);
  expect(await first).toEqual(REFUSED);
  await settle();
  expect(requests[1]).toBe(join(dir, 'snapshots'));
  replies[1]?.(READINGS);
  expect(await second).toEqual(REFUSED);
  expect(ended).toEqual([
    [REFUSED, 'a'],
    [REFUSED, null],
  ]);
});

test('the files of a leak count for its quota, also those of earlier processes', async () => {
  const { queue, replies, settle } = start();
  const nowMs = Date.UTC(2026, 10, 22);
  for (const [folder, fingerprint] of [
    ['first', 'fingerprint-a'],
    ['second', 'fingerprint-a'],
    ['other', 'fingerprint-b'],
  ] as const) {
    mkdirSync(join(dir, folder));
    writeFileSync(join(dir, folder, 'report.json'), JSON.stringify({ alert: { fingerprint } }));
    for (const label of ['1', '2', '3'])
      writeFileSync(join(dir, folder, `heap-${nowMs - 1_000}-${label}.heapsnapshot.gz`), '');
  }
  const snapshots = [queue.take('a', '1'), queue.take('b', '1')];
  for (const index of [0, 1]) {
    await settle();
    await settle();
    replies[index]?.(captureReadings({ directoryRefused: 'the quota of b is not reached' }));
  }
  expect(await Promise.all(snapshots)).toEqual([
    { outcome: 'refused', reason: '6 snapshots of this leak were taken within a day, the limit is 6' },
    { outcome: 'refused', reason: 'the quota of b is not reached' },
  ]);
});

test('no reply of the application thread is a failed snapshot', async () => {
  const { queue, replies, settle } = start();
  const snapshot = queue.take('a', '1');
  await settle();
  replies[0]?.(null);
  expect(await snapshot).toMatchObject({ outcome: 'failed', code: 'WSGUARD_CAPTURE_FAILED' });
});

test('a fault while the application thread reads its memory has its own reason', async () => {
  const { queue, replies, settle } = start();
  const snapshot = queue.take('a', '1');
  await settle();
  const fault = { outcome: 'failed', code: 'WSGUARD_CAPTURE_FAILED', reason: 'a fault' } as const;
  replies[0]?.(fault);
  expect(await snapshot).toEqual(fault);
});

test('the baseline is taken once, after ten minutes of scaled time', async () => {
  const { requests, takeDueBaseline } = start({ snapshotBaseline: 'on', timeScale: 60 });
  await takeDueBaseline(9_900);
  expect(requests).toEqual([]);
  await takeDueBaseline(10_000);
  await takeDueBaseline(20_000);
  expect(requests).toEqual([join(dir, 'snapshots')]);
});

test.each([
  ['is requested', null, 1],
  ['is not requested where the process cannot be forked', 'this is darwin', 0],
] as const)('near a memory limit a snapshot %s', async (_, forkUnavailable, count) => {
  const { queue, requests, settle } = start({}, 0, forkUnavailable);
  const { memory, limits } = sampleOf();
  for (let n = 0; n < 20; n += 1) {
    const oldSpaceBytes = limits.heapCapacityBytes * (0.6 + n * 0.015);
    queue.takeDue(sampleOf({ uptimeMs: n * 15_000, memory: { ...memory, oldSpaceBytes } }));
    await settle();
  }
  expect(requests).toEqual(Array.from({ length: count }, () => join(dir, 'snapshots')));
});

test.each([
  ['without WSGUARD_SNAPSHOT_BASELINE', {}, 0],
  ['by a restarted watcher', { snapshotBaseline: 'on' as const }, 1],
])('no baseline is taken %s', async (_, options, restarts) => {
  const { requests, takeDueBaseline } = start(options, restarts);
  await takeDueBaseline(3_600_000);
  expect(requests).toEqual([]);
});
