/** Leaked memory and memory of connections, at post-GC heaps with a known answer. */
import { heapModel } from '../../../src/detect/heap-model.ts';
import type { PostGcHeap } from '../../../src/detect/post-gc-heaps.ts';
import { MB, MINUTE } from '../../support/run.ts';

interface Server {
  readonly connections: (minute: number) => number;
  readonly closed?: (minute: number) => number;
  readonly megabytes: (minute: number) => number;
  readonly everyMinutes?: number;
}
const MINUTES = 80;

function pointsOf({ connections, closed = () => 0, megabytes, everyMinutes = 8 }: Server): PostGcHeap[] {
  const points: PostGcHeap[] = [];
  let connectionMs = 0;
  for (let minute = 1; minute <= MINUTES; minute += 1) {
    connectionMs += connections(minute) * MINUTE;
    if (minute % everyMinutes !== 0) continue;
    points.push({
      atMs: minute * MINUTE,
      bytes: megabytes(minute) * MB,
      responsive: connections(minute),
      meanResponsive: connections(minute),
      connectionMs,
      closedTotal: closed(minute),
      externalBytes: 0,
      nativeBytes: 0,
      survivors: null,
      closedBefore: 0,
    });
  }
  return points;
}
const modelOf = (server: Server) => {
  const model = heapModel(pointsOf(server));
  if (model === null) throw new Error('no model');
  return { ...model, riseMb: model.riseBytes / MB };
};
const wave = (minute: number): number => 500 + 300 * Math.sin(minute / 9);

test('memory of connections that come and go is no leak', () => {
  const { riseMb, isConfounded } = modelOf({
    connections: wave,
    megabytes: (minute) => 40 + 0.05 * wave(minute),
  });
  expect(Math.abs(riseMb)).toBeLessThan(0.1);
  expect(isConfounded).toBe(false);
});

test('a leak by time is separated from the memory of the connections', () => {
  const { riseMb, t, isConfounded } = modelOf({
    connections: wave,
    megabytes: (minute) => 40 + 0.05 * wave(minute) + minute / 2,
  });
  expect(riseMb).toBeCloseTo(36, 0);
  expect(t).toBeGreaterThan(10);
  expect(isConfounded).toBe(false);
});

test('a leak by closed connections has their pace, also in bursts', () => {
  const closed = (minute: number): number => 100 * Math.floor(minute / 16);
  const { riseMb, progress } = modelOf({
    connections: () => 500,
    closed,
    megabytes: (minute) => 40 + 0.02 * closed(minute),
  });
  expect(riseMb).toBeCloseTo(10, 5);
  expect(progress.shares.filter((share, i) => share === progress.shares[i - 1])).not.toHaveLength(0);
});

test.each([
  ['a straight line', (minute: number) => 100 + 5 * minute],
  ['nearly a straight line', (minute: number) => 100 + 5 * minute + 8 * Math.sin(minute)],
])('memory that rises with connections in %s is not claimed as leaked', (_, connections) => {
  const { isConfounded, riseMb } = modelOf({ connections, megabytes: (minute) => 40 + 0.25 * minute });
  expect(isConfounded || Math.abs(riseMb) < 0.1).toBe(true);
});

test('fewer than six major GCs do not separate connections that rise', () => {
  const server = {
    connections: (minute: number) => 100 + minute,
    megabytes: (minute: number) => 40 + minute / 4,
  };
  expect(modelOf({ ...server, everyMinutes: 20 }).isConfounded).toBe(true);
});

test('a heap that grows much faster than the connections leaks, even if all of it belongs to them', () => {
  const { isConfounded } = modelOf({
    connections: (minute) => 500 + minute,
    megabytes: (minute) => 40 + 2 * minute,
  });
  expect(isConfounded).toBe(false);
});

test('a connection frees no memory: a heap that rises while connections leave keeps its rise', () => {
  const { riseMb } = modelOf({
    connections: (minute) => 500 - 4 * minute + 20 * Math.sin(minute),
    megabytes: (minute) => 40 + minute / 2,
  });
  expect(riseMb).toBeCloseTo(36, 0);
});

describe('a heap beside connections that rise and fall', () => {
  const hill = (minute: number): number => 373 + 220 * Math.sin((Math.PI * minute) / 90);
  const server = (retainedMb: (minute: number) => number): Server => ({
    connections: hill,
    closed: (minute) => 70 * minute,
    megabytes: (minute) => 40 + 0.03 * hill(minute) + retainedMb(minute),
  });

  test.each([10, 20, 30, 45])('a cache that fills with a time constant of %i min slows down', (constant) => {
    const { slowsDown } = modelOf(server((minute) => 60 * (1 - Math.exp(-minute / constant))));
    expect(slowsDown).toBe(true);
  });

  test('a leak keeps its pace', () => {
    expect(modelOf(server((minute) => minute / 2)).slowsDown).toBe(false);
  });

  test('a leak keeps its pace in spite of noise, beside connections that rise and fall often', () => {
    const noise = (minute: number): number => (minute % 16 === 0 ? 0.5 : -0.5);
    const { slowsDown } = modelOf({
      connections: wave,
      megabytes: (minute) => 40 + 0.05 * wave(minute) + minute / 2 + noise(minute),
    });
    expect(slowsDown).toBe(false);
  });
});
