import { claimInRedis } from '../../../src/remedy/claim-in-redis.ts';

function client(answer: unknown, fields: object = {}) {
  const calls: unknown[][] = [];
  const set = (...values: unknown[]): Promise<unknown> => (calls.push(values), Promise.resolve(answer));
  return { calls, client: { set, ...fields } };
}

test.each([
  ['ioredis', {}, ['PX', 60_000, 'NX']],
  ['redis', { isOpen: true }, [{ NX: true, PX: 60_000 }]],
])('%s: one SET that succeeds only without the key', async (_library, fields, options) => {
  const free = client('OK', fields);
  expect(await claimInRedis(free.client)()).toBe(true);
  expect(free.calls).toEqual([['wsguard:exit', String(process.pid), ...options]]);
  expect(await claimInRedis(client(null, fields).client)()).toBe(false);
});

test('an error of Redis reaches the caller', async () => {
  const set = (): Promise<never> => Promise.reject(new Error('Redis is away'));
  await expect(claimInRedis({ set })()).rejects.toThrow('Redis is away');
});
