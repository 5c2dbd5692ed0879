/** `divergence`: the post-GC heap beside connections that stay flat, with few major GCs. */
import { createView } from '../../../src/detect/detector.ts';
import { divergence } from '../../../src/detect/divergence.ts';
import { History } from '../../../src/detect/history.ts';
import type { Verdict } from '../../../src/types/index.ts';
import { MINUTE, sampleAt, type Shape } from '../../support/run.ts';

interface Server {
  /** The megabytes of the post-GC heap at the minutes of the major GCs. */
  readonly floors: Readonly<Record<number, number>>;
  /** Old space at the other minutes. */
  readonly oldMb?: (minute: number) => number;
  readonly shape?: (minute: number) => Shape;
}

/** The verdict after the last major GC. */
function verdictOn({ floors, oldMb, shape = () => ({}) }: Server): Verdict | undefined {
  const history = new History();
  const minutes = Math.max(...Object.keys(floors).map(Number)) + 1;
  for (let minute = 0; minute <= minutes; minute += 0.5) {
    const floorMb = floors[minute];
    history.append(
      sampleAt(2 * minute, minute * MINUTE, {
        connections: 400,
        closed: Math.floor(2 * minute),
        ...(oldMb === undefined ? {} : { oldMb: oldMb(minute) }),
        ...(floorMb === undefined ? {} : { floorMb }),
        ...shape(minute),
      }),
    );
  }
  return divergence.evaluate(createView(history)).find(({ answer }) => answer !== 'provisional') as Verdict;
}

const answerOn = (server: Server): string | undefined => verdictOn(server)?.answer;

describe('the sizes themselves must be a line in time, also where closed connections explain them', () => {
  const MINUTES = [10, 40, 70, 100, 130];
  /** Each closed connection seems to leave 0.02 MB. */
  const answerAt = (closed: (minute: number) => number) =>
    verdictOn({
      floors: Object.fromEntries(MINUTES.map((minute) => [minute, 50 + 0.02 * closed(minute)])),
      shape: (minute) => ({ closed: closed(minute) }),
    });

  test('an even pace of closed connections: a leak', () => {
    expect(answerAt((minute) => Math.round(40 * minute))).toMatchObject({ answer: 'found' });
  });

  test('fewer and fewer closed connections: a cache that fills up looks the same', () => {
    const verdict = answerAt((minute) => Math.round(8000 * (1 - Math.exp(-minute / 150))));
    expect(verdict).toMatchObject({ answer: 'plateau' });
    expect(JSON.stringify(verdict)).toContain('but it slows down');
  });
});

describe('a heap of gigabytes, of which a leak is a small part', () => {
  const line = (minute: number): number => 10 + 0.25 * minute;
  const shape = (): Shape => ({ capacityMb: 4096 });

  test('three sizes that are half as large again, with old space that rose steadily', () => {
    const floors = { 55: line(55), 88: line(88), 120: line(120) };
    expect(answerOn({ floors, oldMb: line, shape })).toBe('found');
  });

  test('less than half, or less than 12 MiB, is the variation of a heap', () => {
    const large = (minute: number): number => 60 + 0.25 * minute;
    expect(answerOn({ floors: { 55: large(55), 88: large(88), 120: large(120) }, oldMb: large, shape })).toBe(
      'ok',
    );
    const small = (minute: number): number => 4 + 0.1 * minute;
    expect(answerOn({ floors: { 55: small(55), 88: small(88), 120: small(120) }, oldMb: small, shape })).toBe(
      'ok',
    );
  });
});

test('a flat hour before the growth, and a size a little below the one before it, hide no leak', () => {
  const floors = { 10: 50, 40: 49.8, 70: 49.9, 100: 70, 130: 90, 133: 89.5, 160: 110, 190: 130 };
  expect(answerOn({ floors })).toBe('found');
});

test('a size that falls by more than noise is not steady', () => {
  const floors = { 70: 50, 100: 70, 130: 90, 140: 78, 160: 110, 190: 130 };
  expect(verdictOn({ floors })).toMatchObject({ answer: 'plateau' });
});

test('tables of a job that are loaded within minutes are no line, however even the sizes look', () => {
  const floors = { 7: 38, 62: 38.2, 133: 38.4, 195: 38.4, 268: 75.8, 271.5: 113, 275: 151, 321: 188.6 };
  expect(verdictOn({ floors })).toMatchObject({ answer: 'plateau' });
});

test('three tables raise four sizes, however many major GCs follow each of them', () => {
  const floors = { 11: 39.3, 40: 39.4, 67: 39.5, 81: 39.2, 106: 49.8, 108: 50, 134: 71.4, 152: 82, 153: 82 };
  const shape = (): Shape => ({ capacityMb: 256 });
  expect(verdictOn({ floors, shape })).toMatchObject({ answer: 'inconclusive' });
  expect(verdictOn({ floors: { ...floors, 120: 60.7 }, shape })).toMatchObject({ answer: 'found' });
});

test('a size that stands still for a tenth of the time is a plateau: three tables', () => {
  const shape = (): Shape => ({ capacityMb: 188 });
  const tables = { 76: 26.6, 92: 49.7, 117: 71.6, 124.5: 71.4, 144: 94 };
  expect(verdictOn({ floors: tables, shape })).toMatchObject({ answer: 'plateau' });
  const line = { 76: 26.6, 92: 42.4, 117: 67.2, 124.5: 74.6, 144: 94 };
  expect(verdictOn({ floors: line, shape })).toMatchObject({ answer: 'found' });
});

test('sessions that outlive their connections explain a heap that grows while more connections close', () => {
  const closed = (minute: number): number => Math.round(100 * minute + 0.8 * minute ** 2);
  const sessions = (minute: number): number => closed(minute) - closed(Math.max(0, minute - 30));
  const oldMb = (minute: number): number => 40 + 0.01 * sessions(minute);
  const floors = { 1.5: oldMb(1.5), 75: oldMb(75), 108: oldMb(108), 140: oldMb(140) };
  expect(answerOn({ floors, oldMb, shape: (minute) => ({ closed: closed(minute), capacityMb: 300 }) })).toBe(
    'inconclusive',
  );
  expect(answerOn({ floors, oldMb, shape: (minute) => ({ closed: 100 * minute, capacityMb: 300 }) })).toBe(
    'found',
  );
});
