/** Peers that do not reply for a while are healthy: a part of all connections, or as many as before. */
import { run, sampleAt, type Shape } from '../../support/run.ts';
import { byTransport } from '../../support/samples.ts';

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

describe('where the agent knows which peers have slept before', () => {
  interface Counts {
    readonly unanswering: number;
    readonly asleep: number;
    readonly awoken: number;
  }
  const known = ({ unanswering, asleep, awoken }: Counts): Shape => ({
    connections: 300,
    more: {
      connections: {
        ...sampleAt(0, 0, { connections: 300 }).connections,
        unanswering: Math.floor(unanswering),
        asleep: Math.floor(asleep),
        awokenTotal: Math.floor(awoken),
      },
    },
  });

  test('many that come and go do not hide those that never come back', () => {
    // Every other half minute 30 peers that have slept before are asleep, which alone look like hundreds that replied again.
    const flapping = (minute: number): number => (Math.floor(minute * 2) % 2 === 0 ? 30 : 0);
    const { transitions, opened } = run(80, (minute) =>
      known({
        unanswering: 2 * minute + flapping(minute),
        asleep: flapping(minute),
        awoken: Math.min(30, 10 * minute),
      }),
    );
    expect(opened).toEqual(['zombie-connections']);
    expect(transitions[0]?.title).toMatch(/^\d+ of 300 connections do not reply to pings/);
  });

  describe('one peer is lost every two minutes, too few for a window of half an hour', () => {
    const openedWith = (more: (minute: number) => object): readonly string[] =>
      run(240, (minute) => {
        // Others fall silent for a moment and come back.
        const shape = known({ unanswering: minute / 2, asleep: 0, awoken: 2 * minute });
        const lost = Math.floor(Math.max(0, minute - 35) / 2);
        const connections = { ...shape.more?.connections, lost, ...more(minute) };
        return { ...shape, more: { connections } } as Shape;
      }).opened;

    test('and none of them comes back or is disconnected', () => {
      expect(openedWith(() => ({ lostEndedTotal: 3 }))).toEqual(['zombie-connections']);
    });

    test.each([
      ['as many come back or are disconnected', (minute: number) => ({ lostEndedTotal: Math.floor(minute) })],
      ['nobody counted how many did', () => ({ lostEndedTotal: undefined })],
      [
        'more and more of the connections are pinged, so more of the lost ones are known',
        (minute: number) => ({
          lostEndedTotal: 0,
          suspicionProbes: {
            silent: 300,
            probed: Math.floor(minute * 1.3),
            unanswering: 60,
            halfHeartbeat: 0,
          },
        }),
      ],
      [
        'as many did not reply before',
        (minute: number) => ({ lostEndedTotal: 0, unanswering: Math.floor(minute < 20 ? 120 : minute / 2) }),
      ],
      [
        'they are a part of all as before',
        (minute: number) => ({
          lostEndedTotal: 0,
          active: byTransport(Math.floor(100 + 5 * minute)),
          unanswering: Math.floor((100 + 5 * minute) / 4),
        }),
      ],
    ] as const)('but %s', (_, more) => {
      expect(openedWith(more)).toEqual([]);
    });
  });

  test('more and more that sleep as they did before are silent', () => {
    const { opened } = run(100, (minute) =>
      known({ unanswering: 2 * minute, asleep: 2 * minute, awoken: 30 }),
    );
    expect(opened).toEqual([]);
  });

  test('peers that sleep for the first time are silent while others of them wake up', () => {
    const { opened } = run(100, (minute) => known({ unanswering: minute, asleep: 0, awoken: 1.5 * minute }));
    expect(opened).toEqual([]);
  });
});
