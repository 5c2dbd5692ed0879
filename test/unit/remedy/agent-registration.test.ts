import { EventEmitter } from 'node:events';
import type { ServerResponse } from 'node:http';
import { remedyList, type WatchingAgent } from '../../../src/core/remedy-list.ts';
import { countAction, registerWithAgent, uniqueName } from '../../../src/remedy/agent-registration.ts';
import {
  BoundedMessageQueue,
  ConnectionRegistry,
  fanout,
  heartbeat,
  Rooms,
  safeSend,
  scopedListeners,
  sseHeartbeat,
} from '../../../src/remedy/index.ts';
import { FakeServer, FakeWebSocket, requestWith } from '../../support/web-sockets.ts';

afterEach(() => {
  remedyList().parts.clear();
  remedyList().agent = null;
});

const agent = {} as WatchingAgent;

test('a part that is made before the agent waits in the list; one that is made after is attached at once', () => {
  const attached: unknown[] = [];
  registerWithAgent((to) => (attached.push(to), () => undefined));
  expect([attached, remedyList().parts.size]).toEqual([[], 1]);
  remedyList().agent = agent;
  registerWithAgent((to) => (attached.push(to), () => undefined));
  expect(attached).toEqual([agent]);
});

test('the agent has the size of every part that keeps something', () => {
  const sizes = new Map<string, () => number>();
  const keep = (name: string, size: () => number) => (sizes.set(name, size), () => undefined);
  remedyList().agent = {
    watchRegistry: keep,
    watchQueue: keep,
    watchRooms: (name: string, rooms: ReadonlyMap<string, unknown>) => keep(name, () => rooms.size),
  } as unknown as WatchingAgent;
  const server = new FakeServer();
  server.clients.add(new FakeWebSocket());
  heartbeat(server);
  const response = Object.assign(new EventEmitter(), { write: () => true, destroy() {} });
  sseHeartbeat(response as unknown as ServerResponse);
  new ConnectionRegistry().add(new FakeWebSocket(), requestWith());
  new Rooms().join('lobby', { rooms: new Set() });
  new BoundedMessageQueue({ name: 'jobs' }).queue('job');
  safeSend(Object.assign(new FakeWebSocket(), { bufferedAmount: 50_000 }), 'text', { policy: 'queue' });
  scopedListeners(new FakeWebSocket()).on(new EventEmitter(), 'price', () => undefined);
  const redis = Object.assign(new EventEmitter(), {
    duplicate: () => Object.assign(new EventEmitter(), { subscribe: async () => undefined }),
    publish: async () => undefined,
  });
  fanout(redis).subscribe('fleet', new FakeWebSocket());
  expect(Object.fromEntries([...sizes].map(([name, size]) => [name, size()]))).toEqual({
    heartbeat: 1,
    sseHeartbeat: 1,
    ConnectionRegistry: 1,
    Rooms: 1,
    jobs: 1,
    safeSend: 1,
    scopedListeners: 1,
    fanout: 1,
  });
  response.emit('close');
  expect(sizes.get('sseHeartbeat')!()).toBe(0);
});

test('dispose ends the registration with the agent', () => {
  remedyList().agent = agent;
  let disposed = 0;
  const dispose = registerWithAgent(() => () => (disposed += 1));
  dispose();
  dispose();
  expect([disposed, remedyList().parts.size]).toEqual([1, 0]);
});

test('the list is bounded', () => {
  for (let n = 0; n < 1_100; n += 1) registerWithAgent(() => () => undefined);
  expect(remedyList().parts.size).toBe(1_000);
});

test('actions are counted by name, and names are unique', () => {
  countAction('safeSend', 'dropped');
  countAction('safeSend', 'dropped');
  expect(remedyList().actions.get('safeSend dropped')).toBe(2);
  expect([uniqueName('Part'), uniqueName('Part'), uniqueName('Part')]).toEqual(['Part', 'Part 2', 'Part 3']);
});
