/** Growth of containers and chains between two snapshots, and their groups. */
import { findChains } from '../../../src/analyse/compare/chains.ts';
import { entriesOf, measureContainers } from '../../../src/analyse/compare/containers.ts';
import { findGrowth, gainedEntries, subtractReplaced } from '../../../src/analyse/compare/growth.ts';
import type { SnapshotMatch } from '../../../src/analyse/compare/growth.ts';
import { groupGrowth, isChain, typeOf } from '../../../src/analyse/compare/groups.ts';
import { matchByIds, toEarlierSnapshot } from '../../../src/analyse/compare/matching.ts';
import { buildGraph } from '../../../src/analyse/graph/graph.ts';
import { nodeText } from '../../../src/analyse/graph/heap.ts';
import type { Heap } from '../../../src/analyse/graph/heap.ts';
import { ServerHeap } from '../../support/server-heap.ts';

function compare(fill: (server: ServerHeap, step: 0 | 1) => void): { heap: Heap; match: SnapshotMatch } {
  const ids = new Map<string, number>();
  const [earlier, heap] = ([0, 1] as const).map((step) => {
    const server = new ServerHeap(ids);
    fill(server, step);
    return server.build();
  }) as [Heap, Heap];
  const snapshot = toEarlierSnapshot(earlier);
  const earlierNode = matchByIds(heap, snapshot);
  const current = measureContainers(heap);
  return { heap, match: { earlierNode, earlier: snapshot.sizes, current, isExact: true } };
}

const growthOf = (fill: Parameters<typeof compare>[0]): [string, string, number][] => {
  const { heap, match } = compare(fill);
  const growth = subtractReplaced(match, findGrowth(heap, match));
  return growth.map(({ node, how, gained }) => [nodeText(heap, node), how, gained]);
};

test('gained and lost entries of old containers', () => {
  const growth = growthOf((server, step) => {
    const sessions = server.sessions(30, true);
    server.variable('grown', server.array('grown', sessions.slice(0, step === 0 ? 10 : 30)));
    server.variable('shrunk', server.array('shrunk', sessions.slice(0, step === 0 ? 30 : 10)));
    server.variable('same', server.array('same', sessions.slice(0, 7)));
  });
  expect(growth).toEqual([
    ['Array', 'entries', 20],
    ['Array', 'entries', -20],
  ]);
});

test('a dictionary counts from 25 fields', () => {
  const fields = (count: number): string[] => Array.from({ length: count }, (_, index) => `key${index}`);
  const growth = growthOf((server, step) => {
    const value = server.object('value', 'Session');
    const object = (key: string, count: number): number =>
      server.object(key, 'Object', Object.fromEntries(fields(count).map((name) => [name, value])));
    server.variable('dictionary', object('dictionary', step === 0 ? 40 : 60));
    server.variable('record', object('record', step === 0 ? 4 : 24));
  });
  expect(growth).toEqual([['Object', 'entries', 20]]);
});

test('a list that is copied at each change gained only what it has more', () => {
  const growth = growthOf((server, step) => {
    const sessions = server.sessions(90, true);
    // Another object in each snapshot.
    server.variable('copied', server.array(`copy ${step}`, sessions.slice(0, step === 0 ? 80 : 90)));
  });
  expect(growth).toEqual([['Array', 'new', 10]]);
});

test('gained entries since a snapshot; null for a container that is new', () => {
  const { heap, match } = compare((server, step) => {
    const sessions = server.sessions(60, true);
    server.variable('old', server.array('old', sessions.slice(0, step === 0 ? 10 : 60)));
    if (step === 1) server.variable('new', server.array('new', sessions));
  });
  const arrays = Array.from(match.current.nodes).filter((node) => nodeText(heap, node) === 'Array');
  expect(arrays.map((node) => gainedEntries(match, node))).toEqual([50, null]);
  expect(arrays.map((node) => [...entriesOf(heap, node)].length)).toEqual([60, 60]);
});

test('a linked list that grew at its end belongs to the object that has it', () => {
  const { heap, match } = compare((server, step) => {
    const count = step === 0 ? 10 : 60;
    const shape = server.node('shape', 'object shape', 'Link');
    let next: number | null = null;
    for (let link = count - 1; link >= 0; link -= 1) {
      const fields: Record<string, number> = { map: shape };
      if (next !== null) fields['next'] = next;
      next = server.object(`link ${link}`, 'Link', fields);
    }
    server.variable('chat', server.object('chat', 'Chat', { log: next! }));
  });
  const graph = buildGraph(heap);
  const chains = findChains(heap, match, graph, findGrowth(heap, match));
  expect(chains.map(({ node, gained, depth }) => [nodeText(heap, node), gained, depth])).toEqual([
    ['Chat', 50, 50],
  ]);
  const [group] = groupGrowth(graph, chains);
  expect(isChain(heap, match.earlierNode, group!)).toBe(true);
  expect([group!.path.join(''), typeOf(heap, group!, chains[0]!.sample)]).toEqual(['chat.log', 'List']);
});

test('the same field of many objects of a class is one group', () => {
  const { heap, match } = compare((server, step) => {
    const rooms = ['a', 'b'].map((room) => {
      const members = server.sessions(step === 0 ? 5 : 40, true, `room ${room}`);
      return server.object(room, 'Room', { members: server.array(`members of ${room}`, members) });
    });
    server.variable('rooms', server.map('rooms', rooms));
  });
  const groups = groupGrowth(buildGraph(heap), findGrowth(heap, match));
  expect(groups.map(({ members, gained, path }) => [members.length, gained, path.join('')])).toEqual([
    [2, 70, 'rooms.get(…).members'],
  ]);
});

test('the listeners of an event are a group by emitter and event', () => {
  const { heap, match } = compare((server, step) => {
    const listeners = Array.from({ length: step === 0 ? 10 : 70 }, (_, index) =>
      server.node(`listener ${index}`, 'closure', 'onNews'),
    );
    const events = server.object('events', 'Object', { news: server.array('news', listeners) });
    server.variable('bus', server.object('bus', 'EventEmitter', { _events: events }));
  });
  const [group] = groupGrowth(buildGraph(heap), findGrowth(heap, match));
  expect(group?.key).toContain('EventEmitter');
  expect([group?.path.join(''), typeOf(heap, group!, [])]).toEqual(['bus._events.news', 'Listeners']);
});
