/** An alert about memory stays open while memory rises, and closes when it no longer does. */
import { gcEvery, run } from '../../support/run.ts';

/** 1 MiB a minute; the limit is days away. From `stopsAt` on the heap stays level. */
const growing = (stopsAt: number) =>
  gcEvery(
    5,
    (minute) => 40 + Math.min(minute, stopsAt),
    () => ({ capacityMb: 8192 }),
  );

test('a linear growth of five hours is one alert, although it becomes small beside the heap', () => {
  const { transitions } = run(300, growing(Number.POSITIVE_INFINITY));
  const [first, ...others] = transitions;
  expect(first).toMatchObject({ event: 'opened', kind: 'heap-growth' });
  expect(others.filter(({ event }) => event !== 'updated')).toEqual([]);
});

test('the alert closes after the growth has ended', () => {
  const transitions = run(300, growing(120)).transitions.filter(({ event }) => event !== 'updated');
  expect(transitions.map(({ event }) => event)).toEqual(['opened', 'closed']);
  expect(transitions[1]?.minute).toBeGreaterThan(150);
  expect(transitions[1]?.minute).toBeLessThan(240);
});
