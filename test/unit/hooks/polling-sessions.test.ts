import { EventEmitter } from 'node:events';
import { Polling, type EngineServer } from '../../../src/hooks/connections/polling-sessions.ts';
import { Retained } from '../../../src/hooks/connections/retained-connections.ts';

const MOST_PER_SLICE = 250;

/** An engine whose clients count how often they are looked at. */
function engineOf(count: number) {
  const seen = { looks: 0 };
  const clients: Record<string, { transport: { name: string } }> = {};
  const open = (id: string): void => {
    const transport = { name: 'polling' };
    clients[id] = {
      get transport() {
        seen.looks += 1;
        return transport;
      },
    };
  };
  for (let i = 0; i < count; i += 1) open(`client ${i}`);
  const engine = Object.assign(new EventEmitter(), {
    clients,
    get clientsCount() {
      return Object.keys(clients).length;
    },
  });
  return { engine: engine as EngineServer, clients, open, seen };
}

/** Looks until done; how many clients each slice looked at. */
function look(polling: Polling, { engine, seen }: ReturnType<typeof engineOf>): number[] {
  const slices: number[] = [];
  for (let done = false; !done;) {
    const before = seen.looks;
    done = polling.lookSlice([engine], 0);
    slices.push(seen.looks - before);
  }
  return slices;
}

test('10,000 sessions are counted in slices, and left in slices', () => {
  const polling = new Polling(new Retained(0));
  const server = engineOf(10_000);
  const slices = look(polling, server);
  expect(Math.max(...slices)).toBeLessThanOrEqual(MOST_PER_SLICE);
  // The names of so many are listed in a turn of their own, not in that of a reading.
  expect(slices.slice(0, 3)).toEqual([0, 0, MOST_PER_SLICE]);
  expect(polling).toMatchObject({ active: 10_000, opened: 10_000, closed: 0 });
  for (const id of Object.keys(server.clients)) delete server.clients[id];
  const leaving = look(polling, server);
  expect(leaving.length).toBeGreaterThanOrEqual(10_000 / MOST_PER_SLICE);
  expect(Math.max(...leaving)).toBeLessThanOrEqual(MOST_PER_SLICE);
  expect(polling).toMatchObject({ active: 0, opened: 10_000, closed: 10_000 });
});

test('a few sessions are counted at once', () => {
  const polling = new Polling(new Retained(0));
  const server = engineOf(100);
  expect(polling.lookSlice([server.engine], 0)).toBe(true);
  expect(polling.active).toBe(100);
});

test('sessions may come and go between two slices', () => {
  const polling = new Polling(new Retained(0));
  const server = engineOf(1_000);
  for (let i = 0; i < 4; i += 1) expect(polling.lookSlice([server.engine], 0)).toBe(false);
  for (const id of ['client 0', 'client 999']) delete server.clients[id];
  server.open('late');
  look(polling, server);
  look(polling, server);
  expect(polling).toMatchObject({ active: 999, opened: 1_000, closed: 1 });
});

test('a closed session that somebody holds is retained; one that went on by WebSocket is not', () => {
  const retained = new Retained(0);
  const polling = new Polling(retained);
  const engine = engineOf(0);
  const [stays, upgrades] = [{ transport: { name: 'polling' } }, { transport: { name: 'polling' } }];
  Object.assign(engine.clients, { stays, upgrades });
  look(polling, engine);
  upgrades.transport.name = 'websocket';
  delete engine.clients['stays'];
  look(polling, engine);
  retained.collected(2);
  retained.judge(0, 10);
  expect(polling).toMatchObject({ active: 0, closed: 2 });
  expect(retained.read()).toEqual({ retained: 1, uncollected: 1 });
  expect(stays).not.toBe(upgrades);
});
