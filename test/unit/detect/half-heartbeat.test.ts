import type { SuspicionProbes } from '../../../src/types/index.ts';
import { sampleOf } from '../../support/samples.ts';
import { answerOf, run, sampleAt, type Shape } from '../../support/run.ts';

/** A server with 500 live clients; each minute 10 more freeze. */
const shapeWith = (minute: number, probes: SuspicionProbes): Shape => {
  const connections = 500 + Math.round(10 * minute);
  const shape = { connections, closed: 0, unanswering: probes.unanswering };
  const sample = sampleAt(0, minute * 60_000, shape);
  return { more: { connections: { ...sample.connections, suspicionProbes: probes } } };
};

/** The frozen ones among so many probed: a sample of all. */
const probesOf = (minute: number, probed: number): SuspicionProbes => {
  const silent = 500 + Math.round(10 * minute);
  const unanswering = Math.round((10 * minute * Math.min(probed, silent)) / silent);
  return { silent, probed: Math.min(probed, silent), unanswering, halfHeartbeat: unanswering };
};

test('silent connections that are not pinged yet raise no suspicion, and nothing is counted', () => {
  const { last, opened } = run(60, () => ({
    more: {
      connections: {
        ...sampleOf().connections,
        suspicionProbes: { silent: 480, probed: 0, unanswering: 0, halfHeartbeat: 0 },
      },
    },
  }));
  expect(opened).toEqual([]);
  expect(answerOf({ last, opened, transitions: [] }, 'unanswering')).toMatchObject({
    answer: 'inconclusive',
    because: '480 silent connections are pinged only when something else looks like a leak',
    missing: 'pings of 480 more connections',
  });
  expect(last.suspicion).toBe(false);
  expect(last.confirming).toBe(false);
});

test('a sample of which many do not reply asks for pings of all, while the connections rise', () => {
  const { last } = run(25, (minute) => shapeWith(minute, probesOf(minute, 200)));
  expect(last.suspicion).toBe(true);
  expect(last.confirming).toBe(true);
});

test('a sample of which all reply does not', () => {
  const { last } = run(25, (minute) =>
    shapeWith(minute, { ...probesOf(minute, 200), unanswering: 0, halfHeartbeat: 0 }),
  );
  expect(last.suspicion).toBe(true);
  expect(last.confirming).toBe(false);
});

test('with pings of all the alert opens and says what the server lacks', () => {
  const { transitions, opened } = run(45, (minute) =>
    shapeWith(minute, probesOf(minute, minute < 20 ? 200 : 10_000)),
  );
  expect(opened).toEqual(['zombie-connections']);
  expect(transitions[0]?.title).toMatch(
    /of [\d,]+ connections do not reply to pings: your server listens for pongs and never sends a ping$/,
  );
});

test('the number of a growing sample is not taken for growth of the number', () => {
  // 300 of 3,000 connections were frozen from the start, and the sample of pinged ones grows by 50 a minute.
  const { opened } = run(55, (minute) => {
    const probed = Math.round(50 * minute);
    const unanswering = Math.round(probed / 10);
    const connections = {
      ...sampleOf().connections,
      active: { websocket: 3_000, sse: 0, polling: 0, upgraded: 0 },
    };
    const suspicionProbes = { silent: 3_000, probed, unanswering, halfHeartbeat: unanswering };
    return { more: { connections: { ...connections, unanswering, suspicionProbes } } };
  });
  expect(opened).toEqual([]);
});

test('where most of the unresponsive peers have another reason, the title does not name half a heartbeat', () => {
  const { transitions } = run(45, (minute) =>
    shapeWith(minute, { ...probesOf(minute, 10_000), halfHeartbeat: 1 }),
  );
  expect(transitions[0]?.title).toMatch(/do not reply to pings$/);
});
