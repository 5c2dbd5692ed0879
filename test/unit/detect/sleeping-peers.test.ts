/** Peers that do not reply for a while are healthy: a part of all connections, or as many as before. */
import { run, type Shape } from '../../support/run.ts';

const peers = (responsive: number, unanswering: number): Shape => ({
  connections: Math.round(responsive + unanswering),
  unanswering: Math.round(unanswering),
});

test('a fifth of the peers sleeps, while the connections rise steeply', () => {
  const at = (minute: number): number => 200 + Math.max(0, minute - 40) * 20;
  expect(run(130, (minute) => peers(at(minute), at(minute) / 4)).opened).toEqual([]);
});

test('peers that a network loses are disconnected after half an hour, again and again', () => {
  // From the first time on the number is known: it rises for 20 min, and falls when the timeout has passed.
  const lost = (minute: number): number =>
    Math.max(0, Math.min(120, (minute % 80) * 6 - 120, 480 - (minute % 80) * 6));
  const { transitions } = run(400, (minute) => peers(500, lost(minute)));
  expect(transitions.filter(({ event, minute }) => event === 'opened' && minute > 60)).toEqual([]);
});

test('zombies that rise above every earlier number are found', () => {
  expect(run(60, (minute) => peers(500, minute < 20 ? 40 : 40 + 6 * (minute - 20))).opened).toContain(
    'zombie-connections',
  );
});

describe('after a start more and more mobile clients fall asleep', () => {
  const asleep = (minute: number): number => Math.min(80, 2 * minute);

  test('and those that wake up again explain the rise', () => {
    // Ten wake up every other minute, and twelve others fall asleep.
    const wakesUp = (minute: number): number => (Math.floor(minute) % 2 === 0 ? 10 : 0);
    const { opened } = run(100, (minute) => peers(300, Math.max(0, asleep(minute) - wakesUp(minute))));
    expect(opened).toEqual([]);
  });

  test('but connections that close instead are no reason to doubt', () => {
    const closes = (minute: number): number => (Math.floor(minute) % 2 === 0 ? 10 : 0);
    const { opened } = run(100, (minute) => ({
      ...peers(300, Math.max(0, asleep(minute) - closes(minute))),
      closed: Math.floor(minute) * 12,
    }));
    expect(opened).toContain('zombie-connections');
  });
});
