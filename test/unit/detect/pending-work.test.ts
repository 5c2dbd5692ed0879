/** Closed connections that jobs in a queue retain until they are done. */
import { answerOf, retainingShape, run, type Shape } from '../../support/run.ts';

/** The registry `jobs` retains every connection that has closed. */
const jobs =
  ({ isWorkedOff, perClosed = 5 }: { isWorkedOff: boolean; perClosed?: number }) =>
  (minute: number): Shape => {
    const closed = 3 * minute + (Math.round(7 * minute) % 3);
    const entries = 10 + Math.round(perClosed * closed) + (Math.round(11 * minute) % 5);
    const registry = { name: 'jobs', entries, isWorkedOff, source: 'found' as const };
    return retainingShape(minute, { closed, retained: closed, registry });
  };

test('jobs that are worked off, more slowly than they come, retain closed connections: no alert, and the reason', () => {
  const result = run(100, jobs({ isWorkedOff: true }));
  expect(result.opened).toEqual([]);
  expect(answerOf(result, 'retained')).toMatchObject({
    answer: 'inconclusive',
    because: expect.stringContaining(
      "'jobs' grows too, by at least half as much, and its oldest entries are removed",
    ) as string,
  });
});

test('closed connections that stay while nothing is removed, or while few jobs wait: an alert', () => {
  expect(run(100, jobs({ isWorkedOff: false })).opened).toContain('retained-after-close');
  expect(run(100, jobs({ isWorkedOff: true, perClosed: 0.1 })).opened).toEqual(['retained-after-close']);
});
