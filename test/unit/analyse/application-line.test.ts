/** Suspects lead to the line of the application, through the code of packages and of Node. Causes come before consequences. */
import { analyseGrowth } from '../../../src/analyse/analysis.ts';
import { toEarlierSnapshot } from '../../../src/analyse/compare/matching.ts';
import { isDataKey, propertyText } from '../../../src/analyse/graph/retaining-path.ts';
import { AGENT_FILES } from '../../../src/analyse/graph/scripts.ts';
import { parseSource } from '../../../src/analyse/locate/source-files.ts';
import { NO_SOURCES } from '../../../src/analyse/locate/sources.ts';
import type { Sources } from '../../../src/analyse/locate/sources.ts';
import type { Suspect } from '../../../src/types/index.ts';
import { FILE, ServerHeap } from '../../support/server-heap.ts';
import type { ObjectIds } from '../../support/server-heap.ts';

const PACKAGE = '/app/node_modules/rxjs/fromEvent.js';
const FEED = '/app/feed.js';

const sourcesOf = (texts: Readonly<Record<string, string>>): Sources => ({
  ...NO_SOURCES,
  text: (file) => texts[file] ?? null,
  syntaxTree: (file) => parseSource(texts[file] ?? null),
  packageOf: (file) => (file.includes('node_modules') ? 'rxjs@7.8.2' : null),
});

async function suspectsOf(
  fill: (server: ServerHeap, count: number) => void,
  texts: Readonly<Record<string, string>> = {},
): Promise<readonly Suspect[]> {
  const ids: ObjectIds = new Map();
  const [earlier, heap] = [20, 120].map((count) => {
    const server = new ServerHeap(ids);
    fill(server, count);
    return server.build();
  });
  const { suspects } = await analyseGrowth(
    heap!,
    { earlier: [toEarlierSnapshot(earlier!)], readAgain: () => Promise.resolve(earlier!) },
    sourcesOf(texts),
  );
  return suspects;
}

const times = (count: number, make: (index: number) => number): number[] =>
  Array.from({ length: count }, (_, index) => make(index));

/** An emitter with listeners of this event. */
function addEmitter(server: ServerHeap, event: string, listeners: readonly number[]): void {
  const events = server.object('events', 'Object', { [event]: server.array('listeners', listeners) });
  server.variable('bus', server.object('bus', 'EventEmitter', { _events: events }));
}

describe('listeners', () => {
  test('of a package lead to the function of the application that they close over', async () => {
    const [suspect] = await suspectsOf((server, count) => {
      const listeners = times(count, (index) => {
        const next = server.closure(`next ${index}`, { name: 'onPrice', file: FEED, line: 31 });
        const subscriber = server.object(`subscriber ${index}`, 'SafeSubscriber', {
          destination: server.object(`observer ${index}`, 'ConsumerObserver', { next }),
        });
        const at = { name: 'handler', file: PACKAGE, line: 54 };
        return server.closure(`listener ${index}`, at, { subscriber });
      });
      addEmitter(server, 'price', listeners);
    });
    expect(suspect).toMatchObject({
      type: 'Listeners',
      location: { file: FEED, line: 31, function: 'onPrice', package: null },
      through: { file: PACKAGE, line: 54, function: 'handler', package: 'rxjs@7.8.2' },
    });
  });

  test('of Node lead to the call that names their event, not to one of another event', async () => {
    const text = [
      'const bus = new EventEmitter();',
      'function onConnection(ws) {',
      "  bus.on('other', ws.update);",
      "  for await (const [price] of on(bus, 'price')) ws.send(price);",
      '}',
    ].join('\n');
    const fill = (server: ServerHeap, count: number): void =>
      addEmitter(
        server,
        'price',
        times(count, (index) =>
          server.closure(`listener ${index}`, { name: 'eventHandler', file: 'node:events', line: 1157 }),
        ),
      );
    const [suspect] = await suspectsOf(fill, { [FILE]: text });
    expect(suspect).toMatchObject({
      location: { file: FILE, line: 4 },
      through: { file: 'node:events', line: 1157 },
    });
  });

  test('that lead to no code of the application keep the line of the package', async () => {
    const [suspect] = await suspectsOf((server, count) =>
      addEmitter(
        server,
        'price',
        times(count, (index) => server.closure(`own ${index}`, { name: 'relay', file: PACKAGE, line: 9 })),
      ),
    );
    expect(suspect?.location).toMatchObject({ file: PACKAGE, line: 9 });
    expect(suspect?.through).toBeUndefined();
  });
});

describe('containers of an installed agent', () => {
  const AGENT = '/app/node_modules/@wsguard/agent/dist/';

  /** A container that a function of `file` has in a variable. Its entries lead to a function of the application. */
  const suspectsIn = (file: string): Promise<readonly Suspect[]> =>
    suspectsOf((server, count) => {
      for (const name of AGENT_FILES)
        server.root(server.closure(name, { name: 'load', file: `${AGENT}${name}.js`, line: 1 }));
      const entries = times(count, (index) => {
        const listener = server.closure(`listener ${index}`, { name: 'onClose', file: FEED, line: 7 });
        return server.object(`entry ${index}`, 'WebSocket', { listener });
      });
      const container = server.array('examples', entries);
      server.root(server.closure('owner', { name: 'search', file, line: 3 }, { examples: container }));
    });

  test('are no suspects, although their entries lead to the application', async () => {
    expect(await suspectsIn(`${AGENT}hooks/server-probes.js`)).toEqual([]);
  });

  test.each([`${AGENT}remedy/rooms.js`, '/app/node_modules/chat/index.js'])(
    'those of %s are',
    async (file) => {
      expect(await suspectsIn(file)).toMatchObject([
        { location: { file: FEED, line: 7 }, through: { file } },
      ]);
    },
  );
});

describe('causes and consequences', () => {
  /** Clients, each with a queue that is larger than all entries of the set. */
  const clientsWithQueues = (server: ServerHeap, count: number): number[] =>
    times(count, (index) => {
      const messages = times(count, (n) => server.node(`message ${index} ${n}`, 'object', 'Message', 200));
      return server.object(`client ${index}`, 'Client', { queue: server.array(`queue ${index}`, messages) });
    });

  test('the collection of all connections ranks before the queues inside them', async () => {
    const suspects = await suspectsOf((server, count) => {
      const clients = clientsWithQueues(server, count);
      // A second owner of the queues: the set alone does not retain them.
      server.variable('clients', server.array('clients', clients));
      server.variable('byId', server.map('byId', clients));
    });
    const names = suspects.map(({ name }) => name);
    expect(names.at(-1)).toContain('queue');
    expect(new Set(names.slice(0, 2))).toEqual(new Set(['clients', 'byId']));
  });

  test('bytes decide between two collections that do not lie in each other', async () => {
    const suspects = await suspectsOf((server, count) => {
      const rows = (name: string, size: number): number[] =>
        times(count, (n) => server.node(`${name} ${n}`, 'object', 'Row', size));
      server.variable('small', server.array('small', rows('s', 100)));
      server.variable('large', server.array('large', rows('l', 5000)));
    });
    expect(suspects.map(({ name }) => name)).toEqual(['large', 'small']);
  });
});

describe('keys that are data', () => {
  test.each([
    '3f2c1a9e-58b1-4a60-9d0f-1c2b3a4d5e6f',
    'xxxxxxxx-xxxx-0xxx-xxxx-xxxxxxxxxxxx',
    'V1StGXR8_Z5jdHi6B-myT',
    'user4711',
    'alice@example.com',
    '10.0.0.115',
    'masked',
  ])('%s is folded', (key) => {
    expect([isDataKey(key), propertyText(key)]).toEqual([true, '[…]']);
  });

  test.each([
    ['clients', '.clients'],
    ['#rooms', '.#rooms'],
    ['chat message', '["chat message"]'],
    ['price:update', '["price:update"]'],
    ['x-client-id', '["x-client-id"]'],
    ['<symbol kState>', '[kState]'],
    ['getServerSideProps2', '.getServerSideProps2'],
  ])('%s is the name of a field or an event', (name, text) => {
    expect(propertyText(name)).toBe(text);
  });
});
