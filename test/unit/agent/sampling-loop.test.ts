import { samplingPeriodMs, startSamplingLoop } from '../../../src/agent/sampling-loop.ts';
import type { FromApp, Link } from '../../../src/channel.ts';
import { createGuard } from '../../../src/core/guard.ts';
import type { Sample } from '../../../src/types/index.ts';
import { createFakeClock } from '../../support/fake-clock.ts';

function start() {
  const clock = createFakeClock();
  const told: FromApp['messages']['sample'][] = [];
  const link = { send: (_name: string, value: never) => void told.push(value) } as unknown as Link<FromApp>;
  const faults: string[] = [];
  const guard = createGuard(({ part }) => faults.push(part));
  let seq = 0;
  let isBroken = false;
  const read = (): Sample => {
    if (isBroken) throw new Error('a broken probe');
    return { seq: seq++ } as Sample;
  };
  const sampling = startSamplingLoop({ clock, guard, periodMs: 1_000, read, link: () => link });
  clock.advance(0);
  return { clock, told, sampling, faults, break: () => (isBroken = true) };
}

test('the first sample is not waited for, then one a period', () => {
  const { clock, told } = start();
  expect(told.map(({ sample }) => sample.seq)).toEqual([0]);
  clock.advance(3_000);
  expect(told.map(({ sample }) => sample.seq)).toEqual([0, 1, 2, 3]);
});

test('eight unacknowledged samples at most; the rest is dropped and counted', () => {
  const { clock, told, sampling } = start();
  clock.advance(20_000);
  expect(told).toHaveLength(8);
  sampling.acknowledge(7);
  clock.advance(1_000);
  expect(told).toHaveLength(9);
  expect(told[8]?.counters).toMatchObject({ samplesTotal: 22, samplesDroppedTotal: 13 });
});

test('a new watcher owes nothing to the one before', () => {
  const { clock, told, sampling } = start();
  clock.advance(20_000);
  sampling.resetUnacknowledged();
  clock.advance(1_000);
  expect(told).toHaveLength(9);
});

test('a fault in reading stays here', () => {
  const { clock, told, faults, break: breakIt } = start();
  breakIt();
  clock.advance(1_000);
  expect(told).toHaveLength(1);
  expect(faults).toEqual(['sample']);
});

test('the period is scaled, down to a quarter of a second', () => {
  expect(samplingPeriodMs(15_000, 1)).toBe(15_000);
  expect(samplingPeriodMs(15_000, 60)).toBe(250);
  expect(samplingPeriodMs(15_000, 600)).toBe(250);
});
