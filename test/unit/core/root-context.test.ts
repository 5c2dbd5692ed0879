import { AsyncLocalStorage } from 'node:async_hooks';

test('a package that is loaded within a context works outside it, with its timers and promises', async () => {
  const storages = [new AsyncLocalStorage<string>(), new AsyncLocalStorage<string>()];
  const stores = (): unknown[] => storages.map((storage) => storage.getStore());
  const seen: unknown[][] = [];
  const load = (): typeof import('../../../src/core/root-context.ts') =>
    jest.requireActual('../../../src/core/root-context.ts');
  await storages[0]!.run('request', () =>
    storages[1]!.run('tenant', async () => {
      const { runInRootContext } = load();
      const result = runInRootContext(() => {
        seen.push(stores());
        return new Promise<string>((resolve) =>
          setTimeout(() => {
            seen.push(stores());
            resolve('result');
          }, 1),
        );
      });
      expect(stores()).toEqual(['request', 'tenant']);
      expect(await result).toBe('result');
    }),
  );
  expect(seen).toEqual([
    [undefined, undefined],
    [undefined, undefined],
  ]);
});
