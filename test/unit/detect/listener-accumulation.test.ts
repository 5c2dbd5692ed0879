import type { EmitterReading } from '../../../src/types/index.ts';
import { run } from '../../support/run.ts';

/** Listeners of an emitter that leak by so many a minute for each of its events. */
function titleWith(perMinute: Readonly<Record<string, number>>): { title: string; subject: string } {
  const { opened, transitions } = run(40, (minute) => {
    const rows = Object.entries(perMinute).map(([event, rate]): EmitterReading => ({
      emitter: 'feed',
      event,
      listeners: 20 + Math.round(rate * minute),
      eventNames: null,
      source: 'found',
    }));
    const sum = rows.reduce((total, { listeners }) => total + listeners, 0);
    const all: EmitterReading = {
      emitter: 'feed',
      event: '*',
      listeners: sum,
      eventNames: rows.length,
      source: 'found',
    };
    return { more: { emitters: [all, ...rows] } };
  });
  expect(opened).toEqual(['listener-accumulation']);
  const [first] = transitions;
  return { title: first?.title ?? '', subject: first?.subject ?? '' };
}

test('one event with most of the growth names the leak', () => {
  expect(titleWith({ update: 20, error: 2 })).toMatchObject({
    title: expect.stringContaining("listeners on 'update' of feed"),
    subject: 'feed update',
  });
});

test('two events that grow in step are both named', () => {
  expect(titleWith({ update: 10, error: 10 })).toMatchObject({
    title: expect.stringContaining("listeners on 'error' and 'update' of feed"),
    subject: 'feed *',
  });
});

test('three events that have most of the growth together are all named', () => {
  expect(titleWith({ open: 10, data: 10, end: 10, other: 8 }).title).toContain(
    "listeners on 'data', 'end' and 'open' of feed",
  );
});

test('many events are not listed', () => {
  const events = Object.fromEntries(Array.from({ length: 12 }, (_, n) => [`user:${n}`, 2]));
  expect(titleWith(events).title).toContain('listeners on all events of feed');
});
