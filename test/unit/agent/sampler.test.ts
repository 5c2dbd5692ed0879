import { EventEmitter } from 'node:events';
import { PassThrough } from 'node:stream';
import { createFakeClock } from '../../support/fake-clock.ts';
import { startSampling, type Sampling } from '../../support/sampling.ts';

let sampling: Sampling;
let clock: ReturnType<typeof createFakeClock>;
beforeEach(() => {
  clock = createFakeClock();
  sampling = startSampling({}, clock);
});
afterEach(() => sampling.sampler.stop());

test('samples are numbered and have both times', () => {
  const { sampler } = sampling;
  expect(sampler.read()).toMatchObject({ seq: 0, atMs: 0, wallMs: clock.wallMs(), marks: [] });
  clock.advance(15_000);
  expect(sampler.read()).toMatchObject({ seq: 1, atMs: 15_000, wallMs: clock.wallMs() });
});

test('a sample has the process and the server', () => {
  const sample = sampling.sampler.read();
  expect(sample.memory.heapUsedBytes).toBeGreaterThan(0);
  expect(sample.uptimeMs).toBeGreaterThan(0);
  expect(sample.connections.active.websocket).toBe(0);
  expect(sample.blind).toEqual([]);
});

test('a mark is in the next sample only', () => {
  const { sampler } = sampling;
  sampler.noteMark('snapshot');
  expect(sampler.read().marks).toEqual(['snapshot']);
  expect(sampler.read().marks).toEqual([]);
});

test('a jump of the wall clock by more than 5 s marks one sample', () => {
  const { sampler } = sampling;
  let offsetMs = 0;
  const wallMs = clock.wallMs.bind(clock);
  jest.spyOn(clock, 'wallMs').mockImplementation(() => wallMs() + offsetMs);
  offsetMs = 5_000;
  expect(sampler.read().marks).toEqual([]);
  offsetMs = -1;
  expect(sampler.read().marks).toEqual(['clock-jump']);
  expect(sampler.read().marks).toEqual([]);
});

test('what the application watches is in the sample', async () => {
  const { sampler } = sampling;
  const bus = new EventEmitter().on('x', () => undefined);
  sampler.watchRegistry('clients', () => 3);
  sampler.watchQueue('jobs', () => 2, { oldestAgeMs: () => 50 });
  const rooms = new Map([['lobby', new Set([1])]]);
  sampler.watchRooms('rooms', rooms);
  sampler.watchEmitter('bus', bus);
  sampler.watchConnection(new PassThrough());
  clock.advance(1_000);
  const sample = sampler.read();
  expect(sample.registries).toEqual([{ name: 'clients', entries: 3, source: 'app' }]);
  expect(sample.queues).toEqual([{ name: 'jobs', items: 2, oldestAgeMs: 50, source: 'app' }]);
  expect(sample.rooms).toEqual([{ name: 'rooms', rooms: 1, members: 1, source: 'app' }]);
  expect(sample.emitters).toContainEqual(expect.objectContaining({ emitter: 'bus', listeners: 1 }));
  expect(sample.connections.active.upgraded).toBe(1);
  sampler.setSuspicion(true);
  const pinged = sampler.pingAll();
  for (let turn = 0; turn < 5; turn += 1) await Promise.resolve();
  clock.advance(62_000);
  await pinged;
  // Locating a listener that exists takes the inspector: test/integration/locate-listeners.test.ts.
  await expect(sampler.locateListener('another bus', 'x')).resolves.toBeNull();
});

test('attached: the servers, whether the agent pings, and what it cannot see', () => {
  expect(sampling.sampler.attached()).toEqual({ servers: [], pings: true, blind: [] });
  sampling.sampler.stop();
  sampling = startSampling({ ping: 'off' }, clock);
  expect(sampling.sampler.attached()).toEqual({
    servers: [],
    pings: false,
    blind: [{ what: 'silent peers that the application does not ping', why: 'WSGUARD_PING=off' }],
  });
});
