import { createGuard } from '../../../src/core/guard.ts';

const boom = (): never => {
  throw new Error('boom');
};

test('a fault gives the fallback, is counted and told once', () => {
  const told: string[] = [];
  const guard = createGuard(({ part }) => told.push(part));
  expect(guard.run('probe', boom, 7)).toBe(7);
  expect(guard.run('probe', boom, 7)).toBe(7);
  expect(guard.faults()).toEqual({ probe: 2 });
  expect(told).toEqual(['probe']);
});

test('five faults in a row switch the part off, and say so', () => {
  const told: boolean[] = [];
  const guard = createGuard(({ switchedOff }) => told.push(switchedOff));
  for (let i = 0; i < 9; i += 1) guard.run('probe', boom, null);
  expect(guard.faults()).toEqual({ probe: 5 });
  expect(guard.isOff('probe')).toBe(true);
  expect(told).toEqual([false, true]);
});

test('a success between faults keeps the part on', () => {
  const guard = createGuard(() => undefined);
  for (let i = 0; i < 20; i += 1) guard.run('probe', i % 4 === 3 ? () => 1 : boom, 0);
  expect(guard.isOff('probe')).toBe(false);
});

test('a logger that throws is silenced', async () => {
  const guard = createGuard(boom);
  expect(guard.run('probe', boom, 'kept')).toBe('kept');
  expect(await guard.runAsync('later', () => Promise.reject(new Error('boom')), 'kept')).toBe('kept');
});
