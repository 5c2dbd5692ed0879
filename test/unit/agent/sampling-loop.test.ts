import { samplingPeriodMs, startSamplingLoop } from '../../../src/agent/sampling-loop.ts';
import type { FromApp, Link } from '../../../src/channel.ts';
import { createGuard } from '../../../src/core/guard.ts';
import type { Sample } from '../../../src/types/index.ts';
import { createFakeClock } from '../../support/fake-clock.ts';

function start() {
  const clock = createFakeClock();
  const sent: FromApp['messages']['sample'][] = [];
  const link = { send: (_name: string, value: never) => void sent.push(value) } as unknown as Link<FromApp>;
  const faults: string[] = [];
  const guard = createGuard(({ part }) => faults.push(part));
  let seq = 0;
  let isBroken = false;
  let isUnprepared = false;
  const read = (): Sample => {
    if (isBroken) throw new Error('a broken probe');
    return { seq: seq++ } as Sample;
  };
  let prepared = 0;
  const prepare = (): void => {
    prepared += 1;
    if (isUnprepared) throw new Error('a broken process');
  };
  const cpuMs = (): number => 0;
  const loop = startSamplingLoop({ clock, guard, periodMs: 1_000, cpuMs, prepare, read, link: () => link });
  clock.advance(0);
  return {
    clock,
    sent,
    loop,
    faults,
    prepared: () => prepared,
    breakProbe: () => (isBroken = true),
    breakPreparation: () => (isUnprepared = true),
  };
}

test('the first sample is sent at once, then one per period', () => {
  const { clock, sent } = start();
  expect(sent.map(({ sample }) => sample.seq)).toEqual([0]);
  clock.advance(3_000);
  expect(sent.map(({ sample }) => sample.seq)).toEqual([0, 1, 2, 3]);
});

test.each([
  ['a busy machine, on which the thread waits for a CPU', { wallMs: 40, cpuMs: 3 }, 3],
  ['other threads, which use more CPU than the time that passes', { wallMs: 4, cpuMs: 9 }, 4],
])('the CPU time of a sample on %s', (_, cost, expectedMs) => {
  const clock = createFakeClock();
  const spent = { wallMs: 0, cpuMs: 0 };
  const sent: FromApp['messages']['sample'][] = [];
  const read = (): Sample => {
    spent.wallMs += cost.wallMs;
    spent.cpuMs += cost.cpuMs;
    return { seq: 0 } as Sample;
  };
  startSamplingLoop({
    clock: { ...clock, nowMs: () => spent.wallMs },
    guard: createGuard(() => undefined),
    periodMs: 1_000,
    cpuMs: () => spent.cpuMs,
    prepare: () => undefined,
    read,
    link: () =>
      ({ send: (_name: string, value: never) => void sent.push(value) }) as unknown as Link<FromApp>,
  });
  clock.advance(1_000);
  expect(sent.map(({ counters }) => counters.sampleCpuMsTotal)).toEqual([expectedMs, 2 * expectedMs]);
});

test('at most eight samples are unacknowledged; further ones are dropped and counted', () => {
  const { clock, sent, loop } = start();
  clock.advance(20_000);
  expect(sent).toHaveLength(8);
  loop.acknowledge(7);
  clock.advance(1_000);
  expect(sent).toHaveLength(9);
  expect(sent[8]?.counters).toMatchObject({ samplesTotal: 22, samplesDroppedTotal: 13 });
});

test('a new watcher gets samples although the previous one acknowledged none', () => {
  const { clock, sent, loop } = start();
  clock.advance(20_000);
  loop.resetUnacknowledged();
  clock.advance(1_000);
  expect(sent).toHaveLength(9);
});

test('a fault while reading is counted and sends nothing', () => {
  const { clock, sent, faults, breakProbe } = start();
  breakProbe();
  clock.advance(1_000);
  expect(sent).toHaveLength(1);
  expect(faults).toEqual(['sample']);
});

test('each sample is prepared in the turn before it, also after a fault', () => {
  const { clock, sent, faults, prepared, breakPreparation } = start();
  expect([prepared(), sent.length]).toEqual([1, 1]);
  breakPreparation();
  clock.advance(1_000);
  expect([prepared(), sent.length]).toEqual([2, 2]);
  expect(faults).toEqual(['sample']);
});

test('a sample that was prepared before the stop is not taken', () => {
  const { clock, sent, loop } = start();
  clock.after(1_000, () => loop.stop());
  clock.advance(2_000);
  expect(sent).toHaveLength(1);
});

test('the period is the interval divided by the time scale, and at least 250 ms', () => {
  expect(samplingPeriodMs(15_000, 1)).toBe(15_000);
  expect(samplingPeriodMs(15_000, 60)).toBe(250);
  expect(samplingPeriodMs(15_000, 600)).toBe(250);
});
