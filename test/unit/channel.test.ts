import {
  createLink,
  createPortPair,
  type FromApp,
  type MessageHandlers,
  type Link,
  type FromWatcher,
} from '../../src/channel.ts';
import { createGuard } from '../../src/core/guard.ts';
import type { Culprit, Status } from '../../src/types/index.ts';
import { createFakeClock, type FakeClock } from '../support/fake-clock.ts';

const CULPRIT: Culprit = {
  text: 'onMessage in bus.js:12',
  name: 'onMessage',
  file: 'bus.js',
  line: 12,
  function: 'onMessage',
  package: null,
  confidence: 0.9,
};

const never = (): Promise<never> => new Promise(() => undefined);
const settle = async (clock: FakeClock, ms: number): Promise<void> => {
  for (let turn = 0; turn < 5; turn += 1) {
    clock.advance(ms / 5);
    for (let tick = 0; tick < 10; tick += 1) await Promise.resolve();
  }
};

function connect(heard: unknown[], locate: () => Promise<Culprit | null>) {
  const clock = createFakeClock();
  const [appPort, watcherPort] = createPortPair(clock);
  const faults: string[] = [];
  const guard = createGuard(({ part }) => faults.push(part));
  const hear = (name: string) => (value: unknown) => void heard.push([name, value]);
  const appEars: MessageHandlers<FromWatcher> = {
    onMessage: {
      ready: hear('ready'),
      ack: hear('ack'),
      transition: hear('transition'),
      snapshot: hear('snapshot'),
      report: hear('report'),
      suspicion: hear('suspicion'),
    },
    onRequest: {
      locateListener: locate,
      snapshot: never,
      profile: never,
      pingAll: () => Promise.reject(new Error('a fault')),
    },
  };
  const watcherEars: MessageHandlers<FromApp> = {
    onMessage: { sample: hear('sample'), attached: hear('attached') },
    onRequest: {
      status: () => Promise.resolve({ watcher: 'running' } as Status),
      snapshot: never,
      stop: never,
    },
  };
  const app: Link<FromApp> = createLink<FromApp, FromWatcher>({ port: appPort, clock, guard }, appEars);
  const watcher: Link<FromWatcher> = createLink<FromWatcher, FromApp>(
    { port: watcherPort, clock, guard },
    watcherEars,
  );
  return { clock, app, watcher, faults };
}

test('what is told arrives on a later turn, in order', async () => {
  const heard: unknown[] = [];
  const { clock, watcher } = connect(heard, never);
  watcher.send('suspicion', true);
  watcher.send('ready', null);
  expect(heard).toEqual([]);
  await settle(clock, 1);
  expect(heard).toEqual([
    ['suspicion', true],
    ['ready', null],
  ]);
});

test('a question is answered, whichever side asks', async () => {
  const { clock, app, watcher } = connect([], () => Promise.resolve(CULPRIT));
  const located = watcher.request('locateListener', { emitter: 'bus', event: 'message' }, 1_000);
  const status = app.request('status', null, 1_000);
  await settle(clock, 10);
  expect(await located).toEqual(CULPRIT);
  expect(await status).toEqual({ watcher: 'running' });
});

test('a side that stays silent or fails is an answer of null, at the deadline or at once', async () => {
  const { clock, app, watcher } = connect([], never);
  let isLate: unknown = 'waiting';
  void app.request('stop', null, 2_000).then((answer) => (isLate = answer));
  const failed = watcher.request('pingAll', null, 60_000);
  await settle(clock, 100);
  expect(await failed).toBeNull();
  expect(isLate).toBe('waiting');
  await settle(clock, 2_000);
  expect(isLate).toBeNull();
});

test('questions without an answer are bounded', async () => {
  const { clock, app } = connect([], never);
  const waiting = Array.from({ length: 64 }, () => app.request('stop', null, 60_000));
  const [answer] = await Promise.all([app.request('stop', null, 60_000), settle(clock, 1)]);
  expect(answer).toBeNull();
  expect(waiting).toHaveLength(64);
});

test('what an ear throws, or a port does not take, stays on this side', async () => {
  const heard = { push: () => rethrow() } as unknown as unknown[];
  const { clock, app, watcher, faults } = connect(heard, () => rethrow());
  watcher.send('suspicion', true);
  const located = watcher.request('locateListener', { emitter: 'bus', event: 'message' }, 1_000);
  await settle(clock, 10);
  expect(await located).toBeNull();
  expect(faults).toEqual(['receive suspicion', 'reply to locateListener']);
  const port = { post: () => rethrow(), receive: () => undefined };
  const told: string[] = [];
  const deaf = createLink<FromApp, FromWatcher>(
    { port, clock, guard: createGuard(({ part }) => told.push(part)) },
    { onMessage: {}, onRequest: {} } as unknown as MessageHandlers<FromWatcher>,
  );
  deaf.send('attached', { servers: [], pings: true, blind: [] });
  expect(told).toEqual(['send attached']);
  expect(app).toBeDefined();
});
const rethrow = (): never => {
  throw new Error('a fault');
};

test('when the other side is gone, nobody waits for its deadline', async () => {
  const { app } = connect([], never);
  const waiting = app.request('snapshot', 'x', 60_000);
  app.close();
  expect(await waiting).toBeNull();
});
