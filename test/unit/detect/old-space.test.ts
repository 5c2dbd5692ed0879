/** Old space between two major GCs: a steady rise, a jump, and rows that say nothing. */
import { History } from '../../../src/detect/history.ts';
import { roseAtOnce, roseSteadily } from '../../../src/detect/old-space.ts';
import type { PostGcHeap } from '../../../src/detect/post-gc-heaps.ts';
import { MINUTE, sampleAt, type Shape } from '../../support/run.ts';

const FIRST_GC = 10;
const LAST_GC = 50;
const RETAINED_MB = 20;

interface Server {
  /** Megabytes of old space above those of the first major GC, by minute. The last major GC finds the same number. */
  readonly oldMb: (minute: number) => number;
  readonly more?: (minute: number) => Shape;
  readonly lastGc?: number;
  readonly retainedMb?: number;
  readonly minutes?: number;
}

/** The history of a server with two major GCs, and their points. */
function historyOf({
  oldMb,
  more = () => ({}),
  lastGc = LAST_GC,
  retainedMb = RETAINED_MB,
  minutes = 60,
}: Server) {
  const history = new History();
  for (let minute = 0; minute <= minutes; minute += 0.5) {
    const isMajorGc = minute === FIRST_GC || minute === lastGc;
    const megabytes = 50 + oldMb(minute);
    history.append(
      sampleAt(2 * minute, minute * MINUTE, {
        oldMb: megabytes,
        ...(isMajorGc ? { floorMb: minute === FIRST_GC ? 50 : 50 + retainedMb } : {}),
        ...more(minute),
      }),
    );
  }
  return { history, points: history.postGcHeaps };
}

const line = (minute: number): number => (RETAINED_MB * (minute - FIRST_GC)) / (LAST_GC - FIRST_GC);
const stepAt =
  (loaded: number, minutes = 0.5) =>
  (minute: number): number =>
    RETAINED_MB * Math.min(1, Math.max(0, (minute - loaded) / minutes));

const isSteady = (server: Server): boolean => {
  const { history, points } = historyOf(server);
  return roseSteadily(history, points);
};
const isAtOnce = (server: Server): boolean | null => {
  const { history, points } = historyOf(server);
  const [from, to] = points as [PostGcHeap, PostGcHeap];
  return roseAtOnce(history, from, to);
};

describe('roseSteadily', () => {
  test('a line', () => {
    expect(isSteady({ oldMb: line })).toBe(true);
  });

  test.each([15, 30, 45])('a table that is loaded at minute %i is a jump, also beside garbage', (loaded) => {
    expect(isSteady({ oldMb: stepAt(loaded) })).toBe(false);
    expect(isSteady({ oldMb: (minute) => stepAt(loaded)(minute) + line(minute) })).toBe(false);
  });

  test('two fifths of the rise within a fifth of the time are no jump, and half of it is one', () => {
    const withShare = (share: number) => (minute: number) => {
      const passed = (minute - FIRST_GC) / (LAST_GC - FIRST_GC);
      const inFifth = Math.min(1, Math.max(0, (passed - 0.4) / 0.2));
      return RETAINED_MB * (share * inFifth + ((1 - share) * (passed - 0.2 * inFifth)) / 0.8);
    };
    expect(isSteady({ oldMb: withShare(0.4) })).toBe(true);
    expect(isSteady({ oldMb: withShare(0.5) })).toBe(false);
  });

  test('a rise that stands still for a quarter of the time is not steady', () => {
    const late = (minute: number): number => Math.max(0, (line(minute) - 5) * (4 / 3));
    expect(isSteady({ oldMb: late })).toBe(false);
  });

  test('garbage that a scavenge moves at once, beside a line with other garbage, is no jump', () => {
    const garbage = (minute: number): number => (minute >= 30 ? 3 : 0) + 0.5 * line(minute);
    expect(isSteady({ oldMb: (minute) => line(minute) + garbage(minute) })).toBe(true);
  });

  test('the rows of the last hours show a rise that took longer than the rows of the last hour reach back', () => {
    const slowly = (minute: number): number => (RETAINED_MB * (minute - FIRST_GC)) / 90;
    const isSteadyFor = (oldMb: (minute: number) => number): boolean => {
      const { history, points } = historyOf({ oldMb, lastGc: 100, minutes: 102 });
      return roseSteadily(history, points);
    };
    expect(isSteadyFor(slowly)).toBe(true);
    expect(isSteadyFor(stepAt(40))).toBe(false);
  });

  test('a table that is loaded between the first major GC and the first row is a jump, also beside garbage', () => {
    const { history, points } = historyOf({
      oldMb: (minute) => 0.6 * stepAt(11)(minute) + (1.4 * RETAINED_MB * (minute - FIRST_GC)) / 63,
      lastGc: 73,
      minutes: 75,
    });
    expect(history.window.times()[0]).toBeGreaterThan(11 * MINUTE);
    expect(roseSteadily(history, points)).toBe(false);
  });

  test('old space below the post-GC heap is a wrong reading', () => {
    expect(isSteady({ oldMb: (minute) => line(minute) - (minute === 20 ? 12 : 0) })).toBe(false);
  });

  test('rows are missing at the start, or the major GCs are too close to each other', () => {
    const samplesSince = (minute: number) => ({
      more: (at: number): Shape => (at > FIRST_GC && at < minute ? { oldMb: Number.NaN } : {}),
    });
    expect(isSteady({ oldMb: line, ...samplesSince(20) })).toBe(false);
    expect(isSteady({ oldMb: line, lastGc: FIRST_GC + 20 })).toBe(false);
  });

  test('no points, or one', () => {
    const { history, points } = historyOf({ oldMb: line });
    expect(roseSteadily(history, [])).toBe(false);
    expect(roseSteadily(history, points.slice(0, 1))).toBe(false);
  });
});

describe('roseAtOnce', () => {
  test.each([15, 30, 45])('a table that is loaded at minute %i, also beside garbage', (loaded) => {
    expect(isAtOnce({ oldMb: stepAt(loaded) })).toBe(true);
    expect(isAtOnce({ oldMb: (minute) => stepAt(loaded)(minute) + 0.4 * line(minute) })).toBe(true);
  });

  test('garbage that a scavenge moves at once, beside a line, is no load', () => {
    expect(isAtOnce({ oldMb: (minute) => line(minute) + 0.9 * stepAt(30)(minute) })).toBe(false);
  });

  test('a line, with and without garbage, is no load', () => {
    expect(isAtOnce({ oldMb: line })).toBe(false);
    expect(isAtOnce({ oldMb: (minute) => 3 * line(minute) })).toBe(false);
  });

  test('less than 4 MiB may be garbage of a scavenge', () => {
    const share = (megabytes: number) => (minute: number) => stepAt(30)(minute) * (megabytes / RETAINED_MB);
    expect(isAtOnce({ oldMb: share(5), retainedMb: 5 })).toBe(true);
    expect(isAtOnce({ oldMb: share(3), retainedMb: 3 })).toBe(false);
  });

  test('a cache that fills within ten minutes is no load', () => {
    expect(isAtOnce({ oldMb: stepAt(20, 10) })).toBe(false);
  });

  test('memory that comes with a storm of connections is theirs', () => {
    const storm = (minute: number): Shape => ({
      connections: 500,
      closed: 10 * Math.floor(minute) + (minute >= 30 ? 2_000 : 0),
    });
    expect(isAtOnce({ oldMb: stepAt(29.5), more: storm })).toBe(false);
  });

  test('three minutes between two major GCs say nothing', () => {
    expect(isAtOnce({ oldMb: stepAt(11), lastGc: FIRST_GC + 3 })).toBeNull();
  });
});
