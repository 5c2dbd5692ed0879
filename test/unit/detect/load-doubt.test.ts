/** Buffers that follow the load are no leak while it rises; a leak grows more than the load, or while it is level. */
import { answerOf, run, sampleAt, type Shape } from '../../support/run.ts';

type Load = 'messagesSentTotal' | 'receivedBytesTotal' | 'opened';

interface Server {
  readonly load: Load;
  /** Units a minute. */
  readonly paceAt: (minute: number) => number;
  readonly externalMbAt: (minute: number) => number;
}

/** A total of the load up to a minute, in steps of a minute. */
function totalOf(paceAt: Server['paceAt'], minute: number): number {
  let total = 0;
  for (let at = 0; at < minute; at += 1) total += paceAt(at) * Math.min(1, minute - at);
  return Math.floor(total);
}

function shapeOf({ load, paceAt, externalMbAt }: Server, minute: number): Shape {
  const total = totalOf(paceAt, minute);
  const base = sampleAt(0, 0, { connections: 500 }).connections;
  const externalMb = 3 + externalMbAt(minute);
  return {
    externalMb,
    rssMb: 120 + externalMb,
    ...(minute > 0 && minute % 5 === 0 ? { floorMb: 40 } : {}),
    ...(load === 'opened'
      ? { opened: 500 + total, closed: total }
      : { more: { connections: { ...base, messagesSentTotal: 0, receivedBytesTotal: 0, [load]: total } } }),
  };
}

const runServer = (server: Server, minutes = 200) =>
  run(minutes, (minute) => shapeOf(server, minute), { everyMs: 30_000 });
const rising = (minute: number): number => 20 + 5 * minute;

test.each([
  ['messagesSentTotal', 'messages a second'],
  ['receivedBytesTotal', 'bytes a second from the peers'],
  ['opened', 'opened connections a second'],
] as const)('a pool that follows the load is no leak while the load rises: %s', (load, text) => {
  const server = { load, paceAt: rising, externalMbAt: (minute: number) => rising(minute) / 2 };
  const result = runServer(server);
  expect(result.opened).toEqual([]);
  expect(answerOf(result, 'external')).toMatchObject({
    answer: 'inconclusive',
    because: expect.stringContaining(`but the ${text} rose as much`),
    missing: 'load that stays level or falls',
  });
});

test('Buffers that each message leaves grow more than the load that rises', () => {
  const externalMbAt = (minute: number): number => totalOf(rising, minute) / 200;
  const { opened } = runServer({ load: 'messagesSentTotal', paceAt: rising, externalMbAt });
  expect(opened).toContain('external-buffers');
});

test('Buffers that grow after the load has become level are a leak', () => {
  const paceAt = (minute: number): number => rising(Math.min(minute, 40));
  const externalMbAt = (minute: number): number => 2 * minute;
  expect(runServer({ load: 'messagesSentTotal', paceAt, externalMbAt }).opened).toContain('external-buffers');
  const level = { load: 'opened', paceAt: () => 100, externalMbAt } as const;
  expect(runServer(level).opened).toContain('external-buffers');
});

test('a few messages are a pace by chance, and explain nothing', () => {
  const paceAt = (minute: number): number => (minute < 100 ? 1 : 5);
  const externalMbAt = (minute: number): number => 2 * minute;
  expect(runServer({ load: 'messagesSentTotal', paceAt, externalMbAt }).opened).toContain('external-buffers');
});
