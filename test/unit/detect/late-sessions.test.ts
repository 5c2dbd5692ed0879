/** Sessions that outlive their connections, and leaks under the same load. */
import { History } from '../../../src/detect/history.ts';
import { followsLateSessions } from '../../../src/detect/late-sessions.ts';
import { postGcTrend } from '../../../src/detect/post-gc-trend.ts';
import { MINUTE, sampleAt } from '../../support/run.ts';

/** The pace at which connections close rises from 27 to 96 per minute while the major GCs are seen. */
const closed = (minute: number): number => Math.round(60 * minute + 1500 * Math.sin(minute / 40));
const closedIn = (minute: number, lifetime: number): number =>
  closed(minute) - closed(Math.max(0, minute - lifetime));

function follows(megabytesAt: (minute: number) => number, everyMinutes = 12): boolean {
  const history = new History();
  for (let minute = 0; minute <= 240; minute += 0.5) {
    const isMajorGc = minute > 100 && minute % everyMinutes === 0;
    history.append(
      sampleAt(2 * minute, minute * MINUTE, {
        connections: 400,
        closed: closed(minute),
        ...(isMajorGc
          ? { floorMb: megabytesAt(minute) + (minute % (2 * everyMinutes) === 0 ? 0.3 : 0) }
          : {}),
      }),
    );
  }
  const trend = postGcTrend(history.postGcHeaps);
  if (trend === null) throw new Error('no trend');
  return followsLateSessions(trend, history);
}

test.each([5, 20, 30, 65])('sessions with a time to live of %i min', (lifetime) => {
  expect(follows((minute) => 50 + 0.01 * closedIn(minute, lifetime))).toBe(true);
});

test.each([
  ['by time', (minute: number) => 50 + minute / 2],
  ['by closed connections', (minute: number) => 50 + 0.002 * closed(minute)],
])('a leak %s', (_, megabytesAt) => {
  expect(follows(megabytesAt)).toBe(false);
});

test('with five major GCs it is enough that sessions could have half of the growth', () => {
  expect(follows((minute) => 50 + 0.01 * closedIn(minute, 30), 30)).toBe(true);
});
