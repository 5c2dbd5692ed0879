import {
  createLink,
  createPortPair,
  type FromApp,
  type FromWatcher,
  type MessageHandlers,
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

const throwFault = (): never => {
  throw new Error('a fault');
};
const never = (): Promise<never> => new Promise(() => undefined);
const settle = async (clock: FakeClock, ms: number): Promise<void> => {
  for (let turn = 0; turn < 5; turn += 1) {
    clock.advance(ms / 5);
    for (let tick = 0; tick < 10; tick += 1) await Promise.resolve();
  }
};

type Receive = (name: string, value: unknown) => void;

function connect(receive: Receive = () => undefined, locate: () => Promise<Culprit | null> = never) {
  const clock = createFakeClock();
  const [appPort, watcherPort] = createPortPair(clock);
  const faults: string[] = [];
  const guard = createGuard(({ part }) => faults.push(part));
  const on = (name: string) => (value: unknown) => receive(name, value);
  const appHandlers: MessageHandlers<FromWatcher> = {
    onMessage: {
      ready: on('ready'),
      ack: on('ack'),
      transition: on('transition'),
      snapshot: on('snapshot'),
      report: on('report'),
      suspicion: on('suspicion'),
    },
    onRequest: {
      locateListener: locate,
      locateResources: never,
      captureReadings: never,
      snapshot: never,
      fork: never,
      profile: never,
      pingAll: () => Promise.reject(new Error('a fault')),
    },
  };
  const watcherHandlers: MessageHandlers<FromApp> = {
    onMessage: { sample: on('sample'), attached: on('attached') },
    onRequest: {
      status: () => Promise.resolve({ watcher: 'running' } as Status),
      snapshot: never,
      audit: never,
      stop: never,
    },
  };
  const app = createLink<FromApp, FromWatcher>({ port: appPort, clock, guard }, appHandlers);
  const watcher = createLink<FromWatcher, FromApp>({ port: watcherPort, clock, guard }, watcherHandlers);
  return { clock, app, watcher, faults };
}

test('messages arrive on a later turn, in order', async () => {
  const received: unknown[] = [];
  const { clock, watcher } = connect((name, value) => received.push([name, value]));
  watcher.send('suspicion', true);
  watcher.send('ready', null);
  expect(received).toEqual([]);
  await settle(clock, 1);
  expect(received).toEqual([
    ['suspicion', true],
    ['ready', null],
  ]);
});

test('both sides can send a request and get the reply', async () => {
  const { clock, app, watcher } = connect(undefined, () => Promise.resolve(CULPRIT));
  const located = watcher.request('locateListener', { emitter: 'bus', event: 'message' }, 1_000);
  const status = app.request('status', null, 1_000);
  await settle(clock, 10);
  expect(await located).toEqual(CULPRIT);
  expect(await status).toEqual({ watcher: 'running' });
});

test('a request resolves with null at its deadline, or at once when its handler fails', async () => {
  const { clock, app, watcher } = connect();
  let reply: unknown = 'pending';
  void app.request('stop', null, 2_000).then((value) => (reply = value));
  const failed = watcher.request('pingAll', null, 60_000);
  await settle(clock, 100);
  expect(await failed).toBeNull();
  expect(reply).toBe('pending');
  await settle(clock, 2_000);
  expect(reply).toBeNull();
});

test('at most 64 requests are pending; a further one resolves with null at once', async () => {
  const { clock, app } = connect();
  let settledCount = 0;
  for (let sent = 0; sent < 64; sent += 1)
    void app.request('stop', null, 60_000).then(() => (settledCount += 1));
  const [reply] = await Promise.all([app.request('stop', null, 60_000), settle(clock, 1)]);
  expect(reply).toBeNull();
  expect(settledCount).toBe(0);
});

test('an error in a handler is a fault and is not thrown', async () => {
  const { clock, watcher, faults } = connect(throwFault, throwFault);
  watcher.send('suspicion', true);
  const located = watcher.request('locateListener', { emitter: 'bus', event: 'message' }, 1_000);
  await settle(clock, 10);
  expect(await located).toBeNull();
  expect(faults).toEqual(['receive suspicion', 'reply to locateListener']);
});

test('an error of the port is a fault and is not thrown', () => {
  const faults: string[] = [];
  const link = createLink<FromApp, FromWatcher>(
    {
      port: { post: throwFault, receive: () => undefined },
      clock: createFakeClock(),
      guard: createGuard(({ part }) => faults.push(part)),
    },
    { onMessage: {}, onRequest: {} } as unknown as MessageHandlers<FromWatcher>,
  );
  link.send('attached', { servers: [], pings: true, blind: [] });
  expect(faults).toEqual(['send attached']);
});

test('close() resolves pending requests with null before their deadlines', async () => {
  const { app } = connect();
  const pending = app.request('snapshot', 'x', 60_000);
  app.close();
  expect(await pending).toBeNull();
});
