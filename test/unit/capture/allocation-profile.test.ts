import { Session } from 'node:inspector';
import { startProfile } from '../../../src/capture/allocation-profile.ts';
import { summariseProfile } from '../../../src/capture/allocation-profile.ts';
import type { ProfileNode } from '../../../src/capture/allocation-profile.ts';

const frame = (
  functionName: string,
  url: string,
  selfSize: number,
  children: readonly ProfileNode[] = [],
): ProfileNode => ({ callFrame: { functionName, url, lineNumber: 40 }, selfSize, children });

test('bytes count for the nearest line of the application, through frames of packages and Node', () => {
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

test('a deep tree does not overflow the stack', () => {
  let node = frame('leaf', '/app/a.js', 1);
  for (let i = 0; i < 50_000; i += 1) node = frame('again', '/app/a.js', 1, [node]);
  expect(summariseProfile(node, 1, '/app/node_modules/@wsguard/agent/dist/').totalBytes).toBe(50_001);
});

test('a real profile names the line that fills an array, and may be stopped twice', () => {
  const run = startProfile();
  if ('outcome' in run) throw new Error(run.reason);
  const kept = Array.from({ length: 400 }, (_, i) => Array.from({ length: 20_000 }, () => ({ i })));
  const profile = run.stop();
  if ('outcome' in profile) throw new Error(profile.reason);
  expect(kept.length).toBe(400);
  expect(profile.totalBytes).toBeGreaterThan(50_000_000);
  expect(profile.lines[0]?.file).toContain('profile.test.ts');
  expect(run.stop()).toBe(profile);
});

test("skips the agent's own frames; bytes of a library alone count for the library", () => {
  const head = frame('(root)', '', 0, [
    frame('observe', 'file:///app/node_modules/@wsguard/agent/dist/hooks/connections/sockets.js', 90),
    frame('Socket', '/app/node_modules/ws/lib/websocket.js', 80),
  ]);
  const { lines } = summariseProfile(head, 512, '/app/node_modules/@wsguard/agent/dist/');
  expect(lines.map(({ file }) => file)).toEqual(['/app/node_modules/ws/lib/websocket.js']);
});

test('does not start while a profile of the application runs', () => {
  const session = new Session();
  session.connect();
  const failures: unknown[] = [];
  session.post('HeapProfiler.startSampling', { samplingInterval: 1024 }, (error) => failures.push(error));
  expect(startProfile()).toMatchObject({ outcome: 'failed', reason: expect.stringContaining('another') });
  session.post('HeapProfiler.stopSampling', (error) => failures.push(error));
  session.disconnect();
  expect(failures).toEqual([null, null]);
});
