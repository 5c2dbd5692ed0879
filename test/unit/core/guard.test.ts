import { createGuard } from '../../../src/core/guard.ts';

const fail = (): never => {
  throw new Error('failed');
};

test('a fault returns the fallback, is counted, and is reported once', () => {
  const reported: string[] = [];
  const guard = createGuard(({ part }) => reported.push(part));
  expect(guard.run('probe', fail, 7)).toBe(7);
  expect(guard.run('probe', fail, 7)).toBe(7);
  expect(guard.faults()).toEqual({ probe: 2 });
  expect(reported).toEqual(['probe']);
});

test('five faults in a row switch the part off, and the last one reports that', () => {
  const reported: boolean[] = [];
  const guard = createGuard(({ switchedOff }) => reported.push(switchedOff));
  for (let i = 0; i < 9; i += 1) guard.run('probe', fail, null);
  expect(guard.faults()).toEqual({ probe: 5 });
  expect(guard.isOff('probe')).toBe(true);
  expect(reported).toEqual([false, true]);
});

test('a success between faults keeps the part on', () => {
  const guard = createGuard(() => undefined);
  for (let i = 0; i < 20; i += 1) guard.run('probe', i % 4 === 3 ? () => 1 : fail, 0);
  expect(guard.isOff('probe')).toBe(false);
});

test('a lack of descriptors does not switch the part off, and is reported once', () => {
  const reported: boolean[] = [];
  const guard = createGuard(({ switchedOff }) => reported.push(switchedOff));
  const lack = (): never => {
    throw Object.assign(new Error('too many open files'), { code: 'EMFILE' });
  };
  for (let i = 0; i < 9; i += 1) guard.run('probe', lack, null);
  expect(guard.faults()).toEqual({ probe: 9 });
  expect(reported).toEqual([false]);
  expect(guard.run('probe', () => 1, 0)).toBe(1);
});

test('an error in the report of a fault is ignored', async () => {
  const guard = createGuard(fail);
  expect(guard.run('probe', fail, 'fallback')).toBe('fallback');
  expect(await guard.runAsync('later', () => Promise.reject(new Error('failed')), 'fallback')).toBe(
    'fallback',
  );
});

test('wrap passes the arguments on, and catches the error', () => {
  const guard = createGuard(() => undefined);
  const calls: unknown[] = [];
  guard.wrap('listener', (...values: number[]) => void calls.push(values))(1, 2);
  expect(calls).toEqual([[1, 2]]);
  expect(guard.wrap('other', fail)()).toBeUndefined();
  expect(guard.faults()).toEqual({ other: 1 });
});

test('runAsync resolves with the result, and does not run a part that is off', async () => {
  const guard = createGuard(() => undefined);
  expect(await guard.runAsync('probe', () => Promise.resolve(3), 0)).toBe(3);
  for (let i = 0; i < 5; i += 1) await guard.runAsync('probe', () => Promise.reject(new Error('failed')), 0);
  let ran = false;
  const task = (): Promise<number> => {
    ran = true;
    return Promise.resolve(3);
  };
  expect(await guard.runAsync('probe', task, 0)).toBe(0);
  expect(ran).toBe(false);
});

test('counts at most 200 parts', () => {
  const guard = createGuard(() => undefined);
  for (let i = 0; i < 300; i += 1) guard.run(`part ${i}`, fail, null);
  expect(Object.keys(guard.faults())).toHaveLength(200);
});

/** Replaces a built-in while `task` runs, as an application can. */
function withReplaced(owner: object, name: string, value: unknown, task: () => void): void {
  const original = Object.getOwnPropertyDescriptor(owner, name)!;
  Object.defineProperty(owner, name, { ...original, value });
  try {
    task();
  } finally {
    Object.defineProperty(owner, name, original);
  }
}

test.each([
  ['Map.prototype.has', Map.prototype, 'has'],
  ['Map.prototype.set', Map.prototype, 'set'],
  ['Set.prototype.has', Set.prototype, 'has'],
  ['the global Error', globalThis, 'Error'],
])('an application that replaces %s gets no error of the agent', async (_, owner, name) => {
  const guard = createGuard(() => undefined);
  const results: unknown[] = [];
  const pending: Promise<unknown>[] = [];
  const failNow = (): never => {
    throw null;
  };
  withReplaced(owner, name, undefined, () => {
    for (let count = 0; count < 5; count += 1) results.push(guard.run('probe', failNow, 7));
    guard.wrap('probe', failNow)();
    pending.push(guard.runAsync('probe', failNow, 8));
  });
  expect([...results, ...(await Promise.all(pending))]).toEqual([7, 7, 7, 7, 7, 8]);
});
