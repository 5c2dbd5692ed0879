import { sampleOf } from '../../support/samples.ts';
import { answerOf, MB, run, sampleAt, type Shape } from '../../support/run.ts';

const withSlow = (minute: number, shape: Shape, slow: number): Shape => {
  const { connections } = sampleAt(0, minute * 60_000, shape);
  return { more: { connections: { ...connections, slow } } };
};

test('four unresponsive peers are no zombies yet, and their pending writes are a finding', () => {
  const { opened, transitions } = run(60, (minute) => ({
    unanswering: minute < 5 ? 0 : 4,
    sendBuffer: minute < 5 ? 0 : 2.2 * MB * (minute - 5),
  }));
  expect(opened).toEqual(['slow-consumer']);
  expect(transitions[0]?.title).toMatch(/^Pending writes grew to [\d.]+ MiB; 4 peers are unresponsive$/);
});

test('pending writes for slow peers are counted by the slow peers', () => {
  const { opened, transitions } = run(60, (minute) =>
    withSlow(minute, { sendBuffer: 2.2 * MB * minute, unanswering: 2 }, 6),
  );
  expect(opened).toEqual(['slow-consumer']);
  expect(transitions[0]?.title).toMatch(/^Pending writes for 6 slow peers grew to /);
});

test('pending writes of zombies join the alert about the zombies, also an hour later', () => {
  const { opened, transitions } = run(140, (minute) => ({
    connections: 2_000,
    unanswering: Math.round(8 * minute),
    sendBuffer: minute < 80 ? 0 : 3 * MB * (minute - 80),
  }));
  expect(opened).toEqual(['zombie-connections']);
  expect(transitions.at(-1)?.also.map(({ kind }) => kind)).toContain('slow-consumer');
});

test('a burst that is sent is no finding, and the answer says why', () => {
  const result = run(40, (minute) => ({ sendBuffer: minute % 3 === 0 ? 0.5 * MB : MB }));
  expect(result.opened).toEqual([]);
  expect(answerOf(result, 'backlog')).toMatchObject({
    answer: 'ok',
    because: expect.stringContaining('the rise is below 4.0 MiB in 30 min'),
  });
});

test('without pending writes the answer says that there are none', () => {
  expect(
    answerOf(
      run(30, () => ({})),
      'backlog',
    ),
  ).toMatchObject({
    because: expect.stringContaining('There are no pending writes'),
  });
  expect(sampleOf().connections.sendBufferBytes).toBe(0);
});

test('unresponsive peers of a server with half a heartbeat: the title has the fix', () => {
  const { transitions } = run(60, (minute) => {
    const shape = { unanswering: 4, sendBuffer: 2.2 * MB * minute };
    const { connections } = sampleAt(0, minute * 60_000, shape);
    const suspicionProbes = { silent: 500, probed: 500, unanswering: 4, halfHeartbeat: 4 };
    return { more: { connections: { ...connections, suspicionProbes } } };
  });
  expect(transitions[0]?.title).toMatch(
    /unresponsive: your server listens for pongs and never sends a ping$/,
  );
});

test('queues that have a limit fill for half an hour, and are silent', () => {
  const { opened } = run(120, (minute) => withSlow(minute, { sendBuffer: Math.min(12, minute / 2) * MB }, 6));
  expect(opened).toEqual([]);
});
