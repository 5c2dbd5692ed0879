import { createGuard } from '../../../src/core/guard.ts';
import { SliceRunner } from '../../../src/hooks/slice-runner.ts';
import { UniqueNames } from '../../../src/hooks/unique-names.ts';
import { createFakeClock } from '../../support/fake-clock.ts';

function setUp() {
  const clock = createFakeClock();
  const faults: string[] = [];
  const runner = new SliceRunner(
    clock,
    createGuard(({ part }) => faults.push(part)),
  );
  return { clock, faults, runner };
}
/** A slice that is complete at its nth call. */
function sliceOf(count: number) {
  let calls = 0;
  const slice = (): boolean => {
    calls += 1;
    return calls === count;
  };
  return { slice, calls: () => calls };
}

test('the first slice runs at once, each further one after a pause', async () => {
  const { clock, runner } = setUp();
  const work = sliceOf(3);
  const round = runner.run('work', work.slice);
  expect(work.calls()).toBe(1);
  clock.advance(1);
  expect(work.calls()).toBe(2);
  clock.advance(1);
  await round;
  clock.advance(100);
  expect(work.calls()).toBe(3);
});

test('work of one slice needs no timer', async () => {
  const { runner } = setUp();
  const work = sliceOf(1);
  await runner.run('work', work.slice);
  expect(work.calls()).toBe(1);
});

test('one round of a name runs at a time; rounds of two names run beside each other', async () => {
  const { clock, runner } = setUp();
  const [first, second, other] = [sliceOf(2), sliceOf(2), sliceOf(2)];
  const round = runner.run('work', first.slice);
  expect(runner.run('work', second.slice)).toBe(round);
  void runner.run('other work', other.slice);
  clock.advance(1);
  await round;
  expect([first.calls(), second.calls(), other.calls()]).toEqual([2, 0, 2]);
  void runner.run('work', second.slice);
  expect(second.calls()).toBe(1);
});

test('a fault ends the round', async () => {
  const { clock, faults, runner } = setUp();
  let calls = 0;
  const round = runner.run('work', () => {
    calls += 1;
    if (calls === 2) throw new Error('a fault');
    return false;
  });
  clock.advance(10);
  await round;
  expect(calls).toBe(2);
  expect(faults).toEqual(['work']);
});

test('stop ends a running round', async () => {
  const { clock, runner } = setUp();
  const work = sliceOf(100);
  const round = runner.run('work', work.slice);
  runner.stop();
  clock.advance(10);
  await round;
  expect(work.calls()).toBe(1);
});

describe('UniqueNames', () => {
  test('an object keeps its name, and further objects of a label get a number', () => {
    const names = new UniqueNames();
    const [first, second] = [{}, {}];
    expect(names.nameOf(first, 'ws')).toBe('ws');
    expect(names.nameOf(second, 'ws')).toBe('ws #2');
    expect(names.nameOf({}, 'engine.io')).toBe('engine.io');
    expect(names.nameOf(first, 'another label')).toBe('ws');
  });

  test('the number of labels is bounded', () => {
    const names = new UniqueNames();
    for (let n = 0; n < 1_000; n += 1) names.nameOf({}, `label ${n}`);
    expect(names.nameOf({}, 'late')).toBe('late');
    expect(names.nameOf({}, 'late')).toBe('late');
    expect(names.nameOf({}, 'label 0')).toBe('label 0 #2');
  });
});
