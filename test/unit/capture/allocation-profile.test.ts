import { Session } from 'node:inspector';
import { joinCulprit } from '../../../src/capture/culprit.ts';
import { startProfile } from '../../../src/capture/allocation-profile.ts';
import { summariseProfile } from '../../../src/capture/profile-lines.ts';
import type { ProfileNode } from '../../../src/capture/profile-lines.ts';
import type { AllocationProfile, Suspect } from '../../../src/types/index.ts';

const frame = (
  functionName: string,
  url: string,
  selfSize: number,
  children: readonly ProfileNode[] = [],
): ProfileNode => ({ callFrame: { functionName, url, lineNumber: 40 }, selfSize, children });

test('bytes go to the nearest line of the application, through packages and node', () => {
  const head = frame('(root)', '', 10, [
    frame('emit', 'node:events', 20, [
      frame('onMessage', 'file:///app/my%20server.mjs', 30, [
        frame('parse', '/app/node_modules/json5/index.js', 40, [frame('(V8 API)', '', 100)]),
      ]),
    ]),
    frame('receive', '/app/node_modules/ws/lib/receiver.js', 50, [frame('from', 'node:buffer', 5)]),
  ]);
  expect(summariseProfile(head, 512, '/app/node_modules/@wsguard/agent/dist/')).toEqual({
    intervalBytes: 512,
    totalBytes: 255,
    lines: [
      { file: '/app/my server.mjs', line: 41, function: 'onMessage', bytes: 170, share: 170 / 255 },
      {
        file: '/app/node_modules/ws/lib/receiver.js',
        line: 41,
        function: 'receive',
        bytes: 55,
        share: 55 / 255,
      },
    ],
  });
});

test('a deep tree does not end the stack', () => {
  let node = frame('leaf', '/app/a.js', 1);
  for (let i = 0; i < 50_000; i += 1) node = frame('again', '/app/a.js', 1, [node]);
  expect(summariseProfile(node, 1, '/app/node_modules/@wsguard/agent/dist/').totalBytes).toBe(50_001);
});

const profile = (share: number, over = {}): AllocationProfile => ({
  intervalBytes: 1,
  totalBytes: 1000,
  lines: [
    { file: '/srv/app/server.js', line: 30, function: 'onMessage', bytes: share * 1000, share, ...over },
  ],
});
const suspect = {
  name: 'pending',
  path: ['queue', '.pending'],
  location: { file: 'app/server.js', line: 33, function: 'onMessage' },
  objects: 900,
  growth: { objects: 400, bytes: 1 },
  confidence: 0.8,
} as unknown as Suspect;

test('two witnesses that agree are believed more', () => {
  const culprit = joinCulprit(suspect, profile(0.7));
  expect(culprit).toMatchObject({ name: 'pending', file: 'app/server.js', line: 33 });
  expect(culprit?.confidence).toBeCloseTo(1 - 0.2 * 0.65);
  expect(culprit?.text).toBe('`queue.pending` gained 400 objects, from onMessage app/server.js:33');
});

test('a profile that names another place takes nothing away: it does not see what is merely held', () => {
  const culprit = joinCulprit(suspect, profile(0.7, { file: '/srv/app/other.js' }));
  expect(culprit).toMatchObject({ file: 'app/server.js', confidence: 0.8 });
});

test('a container without a place gets the line that makes its entries', () => {
  const culprit = joinCulprit({ ...suspect, location: null }, profile(0.5));
  expect(culprit).toMatchObject({ name: 'pending', file: '/srv/app/server.js', line: 30 });
  expect(culprit?.confidence).toBeCloseTo(0.6);
});

test('a profile alone is never more than likely, a flat one says nothing', () => {
  expect(joinCulprit(null, profile(0.95))).toMatchObject({ function: 'onMessage', confidence: 0.6 });
  expect(joinCulprit(null, profile(0.2))).toBeNull();
  expect(joinCulprit(null, null)).toBeNull();
});

test('the real thing names the line that fills an array, and may be stopped twice', () => {
  const run = startProfile();
  if ('outcome' in run) throw new Error(run.reason);
  const kept = Array.from({ length: 400 }, (_, i) => Array.from({ length: 20_000 }, () => ({ i })));
  const found = run.stop();
  if ('outcome' in found) throw new Error(found.reason);
  expect(kept.length).toBe(400);
  expect(found.totalBytes).toBeGreaterThan(50_000_000);
  expect(found.lines[0]?.file).toContain('profile.test.ts');
  expect(run.stop()).toBe(found);
});

test("a line of the agent is nobody's, and a library's line alone accuses nobody", () => {
  const head = frame('(root)', '', 0, [
    frame('observe', 'file:///app/node_modules/@wsguard/agent/dist/hooks/births.js', 90),
    frame('Socket', '/app/node_modules/ws/lib/websocket.js', 80),
  ]);
  const profile = summariseProfile(head, 512, '/app/node_modules/@wsguard/agent/dist/');
  expect(profile.lines.map(({ file }) => file)).toEqual(['/app/node_modules/ws/lib/websocket.js']);
  expect(joinCulprit(null, profile)).toBeNull();
  const own = summariseProfile(frame('join', '/app/rooms.js', 80), 512, '/agent/');
  expect(joinCulprit(null, own)).toMatchObject({ file: '/app/rooms.js', line: 41, function: 'join' });
});

test('a profile that the application runs is left to it', () => {
  const session = new Session();
  session.connect();
  const failures: unknown[] = [];
  session.post('HeapProfiler.startSampling', { samplingInterval: 1024 }, (error) => failures.push(error));
  expect(startProfile()).toMatchObject({ outcome: 'failed', reason: expect.stringContaining('another') });
  session.post('HeapProfiler.stopSampling', (error) => failures.push(error));
  session.disconnect();
  expect(failures).toEqual([null, null]);
});
