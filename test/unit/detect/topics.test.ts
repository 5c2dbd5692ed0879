/** Rooms for topics: a limited number of them, of which the popular ones come first. Rooms of connections leak with each. */
import { run, type Shape } from '../../support/run.ts';

const random = (seed: number): (() => number) => {
  let state = seed;
  return () => (state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32) / 2 ** 32;
};

interface Server {
  readonly seed: number;
  readonly connectionsAt: (minute: number) => number;
  readonly lifeMinutes: number;
  /** The rooms after all connections so far. */
  readonly rooms: (next: () => number) => (opened: number, closed: number) => number;
}

/** Four samples a minute, of connections that stay for a time that varies by chance. */
function samplesOf({ seed, connectionsAt, lifeMinutes, rooms }: Server): (minute: number) => Shape {
  const next = random(seed);
  const roomsAt = rooms(next);
  let [opened, closed] = [0, 0];
  return (minute) => {
    for (let left = opened - closed; left > 0; left -= 1) if (next() < 0.25 / lifeMinutes) closed += 1;
    const missing = Math.max(0, connectionsAt(minute) - (opened - closed));
    opened += Math.round(missing * next());
    const connections = opened - closed;
    const reading = {
      name: 'rooms',
      rooms: roomsAt(opened, closed),
      members: connections,
      source: 'found',
    } as const;
    return { opened, closed, connections, more: { rooms: [reading] } };
  };
}

const topics =
  (count: number): Server['rooms'] =>
  (next) => {
    const seen = new Set<number>();
    let last = 0;
    return (opened) => {
      for (; last < opened; last += 1) seen.add(Math.floor(next() ** 2 * count));
      return seen.size;
    };
  };

const roomOfEach =
  (leak: number): Server['rooms'] =>
  () =>
  (opened, closed) =>
    opened - Math.round(closed * (1 - leak));

const LOADS: readonly [name: string, connectionsAt: Server['connectionsAt'], lifeMinutes: number][] = [
  ['a steady load', () => 120, 12],
  ['a ramp', (minute) => 30 + 4 * minute, 5],
  ['bursts', (minute) => (minute % 20 < 7 ? 260 : 40), 4],
];

const TOPICS = LOADS.flatMap((load) => [120, 400, 900].map((count) => [...load, count] as const));

test.each(TOPICS)('under %s rooms for topics open no alert', (_, connectionsAt, lifeMinutes, count) => {
  for (const seed of [1, 2, 3]) {
    const shape = samplesOf({ seed, connectionsAt, lifeMinutes, rooms: topics(count) });
    expect(run(120, shape).transitions.map(({ title, minute }) => `${minute}: ${title}`)).toEqual([]);
  }
});

test.each(LOADS)(
  'under %s a room that each second connection leaves is found',
  (_, connectionsAt, lifeMinutes) => {
    const shape = samplesOf({ seed: 4, connectionsAt, lifeMinutes, rooms: roomOfEach(0.5) });
    expect(run(150, shape).opened).toEqual(['room-growth']);
  },
);
