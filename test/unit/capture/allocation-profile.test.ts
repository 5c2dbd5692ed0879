import { Session } from 'node:inspector';
import { startProfile } from '../../../src/capture/allocation-profile.ts';
import { sumByLine, summariseProfile } from '../../../src/capture/allocation-profile.ts';
import type { ProfileNode } from '../../../src/capture/allocation-profile.ts';

const AGENT = '/app/node_modules/@wsguard/agent/dist/';

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
  expect(summariseProfile(null, sumByLine(head, AGENT), 512)).toEqual({
    intervalBytes: 512,
    totalBytes: 255,
    isGrowth: false,
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
  expect(summariseProfile(null, sumByLine(node, AGENT), 1).totalBytes).toBe(50_001);
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
  const { lines } = summariseProfile(null, sumByLine(head, AGENT), 512);
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

test('after a first reading only what grew since counts: a full ring buffer does not', () => {
  const reading = (ringBytes: number, leakBytes: number) =>
    sumByLine(
      frame('(root)', '', 0, [
        frame('remember', '/app/ring.js', ringBytes),
        frame('onMessage', '/app/server.js', leakBytes),
      ]),
      AGENT,
    );
  const { isGrowth, totalBytes, lines } = summariseProfile(reading(900, 100), reading(880, 160), 512);
  expect({ isGrowth, totalBytes }).toEqual({ isGrowth: true, totalBytes: 60 });
  expect(lines).toEqual([{ file: '/app/server.js', line: 41, function: 'onMessage', bytes: 60, share: 1 }]);
});

test('a real profile with two readings names the line that allocated between them', () => {
  const run = startProfile();
  if ('outcome' in run) throw new Error(run.reason);
  const fill = (lists: number) =>
    Array.from({ length: lists }, (_, i) => Array.from({ length: 20_000 }, () => ({ i })));
  const workingSet = [fill(100)];
  run.read();
  // 8 MB have four samples of 2 MiB on average. The working set has 80 MB.
  const grow = (): unknown[] => fill(10);
  const kept = grow();
  const profile = run.stop();
  if ('outcome' in profile) throw new Error(profile.reason);
  expect([workingSet.length, kept.length]).toEqual([1, 10]);
  expect(profile.isGrowth).toBe(true);
  expect(profile.totalBytes).toBeLessThan(40_000_000);
});

test.each([
  [
    'node:inspector',
    async (session: Session, ...[method, params]: [string, object?]) =>
      new Promise((resolve, reject) => {
        session.post(method, params, (error, value) => (error === null ? resolve(value) : reject(error)));
      }),
  ],
  [
    'node:inspector/promises',
    async (session: Session, method: string, params?: object) =>
      session.post(method, params) as unknown as Promise<object>,
  ],
] as const)('gives way to a profile that the application starts with %s', async (name, post) => {
  const { Session: AppSession } = (await import(name)) as { Session: typeof Session };
  const postMethod = (): unknown => Reflect.get(Session.prototype, 'post');
  const original = postMethod();
  const run = startProfile();
  if ('outcome' in run) throw new Error(run.reason);
  const session = new AppSession();
  session.connect();
  await post(session, 'HeapProfiler.startSampling', { samplingInterval: 1024 });
  run.read();
  expect(run.stop()).toMatchObject({
    outcome: 'failed',
    reason: 'the application has started an allocation profile of its own',
  });
  const kept = Array.from({ length: 20_000 }, (_, i) => ({ text: `${i}` }));
  const { profile } = (await post(session, 'HeapProfiler.stopSampling')) as {
    profile: { samples: object[] };
  };
  session.disconnect();
  // At the agent's interval of 2 MiB it would have about one.
  expect(profile.samples.length).toBeGreaterThan(100);
  expect(kept.length).toBe(20_000);
  expect(postMethod()).toBe(original);
});
