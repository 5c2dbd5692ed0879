import { EventEmitter } from 'node:events';
import { PollingSessions, type EngineServer } from '../../../src/hooks/connections/polling-sessions.ts';
import { RetainedConnections } from '../../../src/hooks/connections/retained-connections.ts';

const MAX_PER_SLICE = 250;

/** An engine whose clients count how often their transport is read. */
function engineWith(count: number) {
  const reads = { count: 0 };
  const clients: Record<string, { transport: { name: string } }> = {};
  const open = (id: string): void => {
    const transport = { name: 'polling' };
    clients[id] = {
      get transport() {
        reads.count += 1;
        return transport;
      },
    };
  };
  for (let index = 0; index < count; index += 1) open(`client ${index}`);
  const engine = Object.assign(new EventEmitter(), {
    clients,
    get clientsCount() {
      return Object.keys(clients).length;
    },
  });
  return { engine: engine as EngineServer, clients, open, reads };
}

/** Scans until done; returns how many clients each slice read. */
function scan(polling: PollingSessions, { engine, reads }: ReturnType<typeof engineWith>): number[] {
  const slices: number[] = [];
  for (let isDone = false; !isDone;) {
    const before = reads.count;
    isDone = polling.scanSlice([engine], 0);
    slices.push(reads.count - before);
  }
  return slices;
}

test('10,000 sessions are counted in slices, and closed in slices', () => {
  const polling = new PollingSessions(new RetainedConnections(0));
  const server = engineWith(10_000);
  const slices = scan(polling, server);
  expect(Math.max(...slices)).toBeLessThanOrEqual(MAX_PER_SLICE);
  // A large list of ids gets its own slice, apart from the slice that runs in a reading.
  expect(slices.slice(0, 3)).toEqual([0, 0, MAX_PER_SLICE]);
  expect(polling).toMatchObject({ active: 10_000, opened: 10_000, closed: 0 });
  for (const id of Object.keys(server.clients)) delete server.clients[id];
  const closing = scan(polling, server);
  expect(closing.length).toBeGreaterThanOrEqual(10_000 / MAX_PER_SLICE);
  expect(Math.max(...closing)).toBeLessThanOrEqual(MAX_PER_SLICE);
  expect(polling).toMatchObject({ active: 0, opened: 10_000, closed: 10_000 });
});

test('a few sessions are counted in one slice', () => {
  const polling = new PollingSessions(new RetainedConnections(0));
  const server = engineWith(100);
  expect(polling.scanSlice([server.engine], 0)).toBe(true);
  expect(polling.active).toBe(100);
});

test('sessions may open and close between two slices', () => {
  const polling = new PollingSessions(new RetainedConnections(0));
  const server = engineWith(1_000);
  for (let slice = 0; slice < 4; slice += 1) expect(polling.scanSlice([server.engine], 0)).toBe(false);
  for (const id of ['client 0', 'client 999']) delete server.clients[id];
  server.open('late');
  scan(polling, server);
  scan(polling, server);
  expect(polling).toMatchObject({ active: 999, opened: 1_000, closed: 1 });
});

test('the sessions of several engines are counted together', () => {
  const polling = new PollingSessions(new RetainedConnections(0));
  const [first, second] = [engineWith(3), engineWith(0)];
  second.open('client of the second');
  expect(polling.scanSlice([first.engine, second.engine], 0)).toBe(true);
  expect(polling).toMatchObject({ active: 4, opened: 4, closed: 0 });
});

test('sessions with another transport are not counted', () => {
  const polling = new PollingSessions(new RetainedConnections(0));
  const { engine, clients } = engineWith(0);
  Object.assign(clients, { upgraded: { transport: { name: 'websocket' } }, opening: {} });
  polling.scanSlice([engine], 0);
  expect(polling).toMatchObject({ active: 0, opened: 0 });
});

test('a closed session can be retained; a session that upgraded to a WebSocket is not closed', () => {
  const retained = new RetainedConnections(0);
  const polling = new PollingSessions(retained);
  const server = engineWith(0);
  const [kept, upgraded] = [{ transport: { name: 'polling' } }, { transport: { name: 'polling' } }];
  Object.assign(server.clients, { kept, upgraded });
  scan(polling, server);
  upgraded.transport.name = 'websocket';
  delete server.clients['kept'];
  scan(polling, server);
  retained.setMajorGcs(0);
  retained.setMajorGcs(2);
  retained.checkSlice(0, 10);
  expect(polling).toMatchObject({ active: 0, closed: 2 });
  expect(retained.read()).toEqual({ retained: 1, uncollected: 1 });
  expect(kept).not.toBe(upgraded);
});

test('bytes that wait in engine.io count, whatever the transport, and until they are sent', () => {
  const polling = new PollingSessions(new RetainedConnections(0));
  const server = engineWith(0);
  const texts = Array.from({ length: 1_000 }, () => ({ type: 'message', data: 'x'.repeat(500) }));
  const buffers = [{ type: 'message', data: Buffer.alloc(3_000) }, { type: 'ping' }];
  const frozen: { transport: object; writeBuffer: unknown } = {
    transport: { name: 'websocket' },
    writeBuffer: texts,
  };
  Object.assign(server.clients, {
    frozen,
    polling: { transport: { name: 'polling' }, writeBuffer: buffers },
    idle: { transport: { name: 'websocket' }, writeBuffer: [] },
    other: { transport: { name: 'websocket' }, writeBuffer: 'no list' },
    none: null,
  });
  scan(polling, server);
  expect(polling.waitingBytes).toBe(503_000);
  frozen.writeBuffer = [];
  scan(polling, server);
  expect(polling.waitingBytes).toBe(3_000);
});

test('packets are read without running code of the application', () => {
  const polling = new PollingSessions(new RetainedConnections(0));
  const server = engineWith(0);
  const ran: string[] = [];
  const counted = Object.defineProperty(new Uint8Array(100), 'byteLength', {
    get: () => ran.push('byteLength'),
  });
  const getPrototypeOf = (): null => {
    ran.push('getPrototypeOf');
    return null;
  };
  const detached = new DataView(new ArrayBuffer(8));
  structuredClone(detached.buffer, { transfer: [detached.buffer] });
  const writeBuffer = [
    { data: counted },
    { data: new Proxy({}, { getPrototypeOf }) },
    { data: detached },
    { data: new ArrayBuffer(20) },
  ];
  Object.assign(server.clients, { one: { transport: { name: 'websocket' }, writeBuffer } });
  scan(polling, server);
  expect(polling.waitingBytes).toBe(120);
  expect(ran).toEqual([]);
});

test('stop forgets all sessions', () => {
  const polling = new PollingSessions(new RetainedConnections(0));
  const server = engineWith(1_000);
  polling.scanSlice([server.engine], 0);
  polling.stop();
  expect(polling.active).toBe(0);
});
