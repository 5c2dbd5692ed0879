/** The whole analysis on built snapshots of a small server. */
import { analyseGrowth, analyseSingle } from '../../../src/analyse/analysis.ts';
import { toEarlierSnapshot } from '../../../src/analyse/compare/matching.ts';
import type { Heap } from '../../../src/analyse/graph/heap.ts';
import { parseSource } from '../../../src/analyse/locate/source-files.ts';
import { NO_SOURCES } from '../../../src/analyse/locate/sources.ts';
import type { Sources } from '../../../src/analyse/locate/sources.ts';
import type { Analysis } from '../../../src/types/index.ts';
import { FILE, FUNCTION, ServerHeap } from '../../support/server-heap.ts';
import type { ObjectIds } from '../../support/server-heap.ts';

type Result = Omit<Analysis, 'schema' | 'snapshots'>;

const SOURCE = [
  'const clients = new Map();',
  'const log = [];',
  '',
  'function onConnection(ws) {',
  '  clients.set(ws.id, new Session(ws));',
  '  log.push(ws);',
  '}',
].join('\n');

const sourcesOf = (text: string): Sources => ({
  ...NO_SOURCES,
  text: (file) => (file === FILE ? text : null),
  syntaxTree: (file) => (file === FILE ? parseSource(text) : null),
});

/** Compares one snapshot for each number of sessions. */
async function analyse(
  counts: readonly number[],
  fill: (server: ServerHeap, count: number) => void,
  { text = SOURCE, sameProcess = true } = {},
): Promise<Result> {
  const ids: ObjectIds = new Map();
  const heaps = counts.map((count): Heap => {
    const server = new ServerHeap(sameProcess ? ids : new Map([['another process', 999]]));
    fill(server, count);
    return server.build();
  });
  const last = heaps.at(-1)!;
  const earlier = heaps.slice(0, -1).map(toEarlierSnapshot);
  return analyseGrowth(
    last,
    { earlier, readAgain: (index) => Promise.resolve(heaps[index]!) },
    sourcesOf(text),
  );
}

const closedClients = (server: ServerHeap, count: number): void =>
  void server.variable('clients', server.map('clients', server.sessions(count, false)));

test('a Map of closed connections: name, path, line, entries, evidence', async () => {
  const { suspects, matchedBy, clean, because, connections } = await analyse([20, 120], closedClients);
  expect(suspects).toHaveLength(1);
  expect(suspects[0]).toMatchObject({
    rank: 1,
    name: 'clients',
    type: 'Map',
    path: ['clients'],
    location: { file: FILE, line: 5, function: 'onConnection' },
    objects: 100,
    containers: 1,
    entries: 'Session',
    example: [{ name: 'socket', is: 'Socket' }],
  });
  expect(suspects[0]?.notes).toEqual(['100 of 100 sampled entries refer to a closed socket']);
  expect(suspects[0]?.steps.map(({ text, state, isSuspect }) => [text, state, isSuspect])).toEqual([
    ['clients', 'not-leaking', false],
    ['.get(…)', 'leaking', true],
    ['.socket', 'leaking', false],
  ]);
  expect([matchedBy, clean]).toEqual(['id', false]);
  expect(because).toBe(`clients gained 100 entries, added at ${FILE}:5.`);
  expect(connections).toMatchObject({ closed: 120, since: { openedAndClosed: 100 } });
});

test('the values of keys are nowhere in the result', async () => {
  expect(JSON.stringify(await analyse([20, 120], closedClients))).not.toContain('secret');
});

test('two processes: matched by path, with the same suspect', async () => {
  const ofOtherProcess = (server: ServerHeap, count: number): void => {
    for (let filler = 0; filler < count; filler += 1) server.node(`filler ${count} ${filler}`, 'number', 'x');
    closedClients(server, count);
  };
  const { suspects, matchedBy } = await analyse([20, 120], ofOtherProcess, { sameProcess: false });
  expect(matchedBy).toBe('path');
  expect(suspects.map(({ name, objects }) => [name, objects])).toEqual([['clients', 100]]);
});

test('an array is found by the line of its push', async () => {
  const { suspects } = await analyse([20, 120], (server, count) => {
    server.variable('log', server.array('log', server.sessions(count, false)));
  });
  expect(suspects[0]).toMatchObject({ type: 'Array', path: ['log', '[119]'], location: { line: 6 } });
});

test('without the source file the function that sees the variable is reported', async () => {
  const { suspects } = await analyse([20, 120], closedClients, { text: '' });
  expect(suspects[0]?.location).toMatchObject({ file: FILE, line: FUNCTION.line });
});

test('two containers with the same entries name each other and share the bytes', async () => {
  const { suspects } = await analyse([20, 2020], (server, count) => {
    const sessions = server.sessions(count, false);
    server
      .variable('clients', server.map('clients', sessions))
      .variable('log', server.array('log', sessions));
  });
  expect(suspects.map(({ name, otherRetainers }) => [name, otherRetainers])).toEqual([
    ['clients', ['log']],
    ['log', ['clients']],
  ]);
  expect(suspects[0]?.shared).toEqual([{ with: [{ rank: 2, name: 'log' }], bytes: 2000 * 32 }]);
});

describe('no suspect', () => {
  const reasons = ({ growing, suspects }: Result): unknown => [
    suspects.length,
    growing.map(({ name, because }) => [name, because]),
  ];

  test('few new entries', async () => {
    const result = await analyse([20, 40], closedClients);
    expect(result).toMatchObject({ suspects: [], growing: [], clean: true, because: 'No container grew.' });
  });

  test('as many removed as added', async () => {
    const result = await analyse([100, 200], (server, count) => {
      const sessions = server.sessions(count, true).slice(-100);
      server.variable('clients', server.map('clients', sessions));
    });
    expect(result.suspects).toEqual([]);
  });

  test('the code removes entries at a limit', async () => {
    const text = `${SOURCE}\nif (clients.size > 1000) clients.delete(clients.keys().next().value);`;
    const result = await analyse([20, 120], closedClients, { text });
    expect(reasons(result)).toEqual([0, [['clients', `the code removes entries at a limit (${FILE}:8)`]]]);
    expect(result.because).toBe(
      `No container grew unexpectedly. clients gained 100 entries, but the code removes entries at a limit (${FILE}:8).`,
    );
  });

  test('an LRU cache', async () => {
    const result = await analyse([20, 120], (server, count) => {
      const entries = server.map('entries', server.sessions(count, true));
      server.variable('cache', server.object('cache', 'LRUCache', { entries }));
    });
    expect(reasons(result)).toEqual([0, [['cache.entries', 'an LRU cache has a limit']]]);
  });

  test('a WeakMap', async () => {
    const result = await analyse([20, 120], (server, count) => {
      server.variable('stash', server.map('stash', server.sessions(count, false), 'WeakMap'));
    });
    expect(reasons(result)).toEqual([0, [['stash', 'its entries live as long as their keys']]]);
  });

  test('three snapshots: it stopped growing, and its sockets are open', async () => {
    const openClients = (server: ServerHeap, count: number): void =>
      void server.variable('clients', server.map('clients', server.sessions(count, true)));
    const stopped = await analyse([20, 118, 120], openClients);
    expect(reasons(stopped)).toEqual([
      0,
      [['clients', 'it grew between the first two snapshots, and then stopped growing']],
    ]);
    const growing = await analyse([20, 60, 120], openClients);
    expect(growing.suspects).toHaveLength(1);
    expect(growing.suspects[0]?.notes[0]).toContain('their sockets are open');
  });

  test('three snapshots: closed sockets are a suspect even if no more were added', async () => {
    expect((await analyse([20, 118, 120], closedClients)).suspects).toHaveLength(1);
  });
});

test('a single snapshot: containers with closed sockets, and what retains the memory', () => {
  const server = new ServerHeap(new Map());
  closedClients(server, 120);
  const { suspects, clean, holders, because } = analyseSingle(server.build(), sourcesOf(SOURCE));
  expect(suspects.map(({ name, growth, confidence }) => [name, growth, confidence])).toEqual([
    ['clients', null, 0.6],
  ]);
  expect(clean).toBe(false);
  expect(holders.map(({ path }) => path.join(''))).toContain('clients');
  expect(because).toContain('Most suspicious: clients, 120 Session.');
});

test('a single snapshot without closed sockets has no suspect', () => {
  const server = new ServerHeap(new Map());
  server.variable('clients', server.map('clients', server.sessions(120, true)));
  const { suspects, because } = analyseSingle(server.build(), sourcesOf(SOURCE));
  expect(suspects).toEqual([]);
  expect(because).toContain('No container has closed sockets or many listeners.');
});
