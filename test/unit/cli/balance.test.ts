import { balanceOf, balanceText } from '../../../src/cli/procedure/balance.ts';

const MIB = 2 ** 20;
const step = (file: string, mebibytes: number) => ({
  file,
  nodes: 1_000,
  edges: 1,
  selfBytes: mebibytes * MIB,
});
const balance = (start: number, loaded: number, drained: number) =>
  balanceOf({ start: step('a', start), loaded: step('b', loaded), drained: step('c', drained) });

test('a load that leaves a part of its memory behind', () => {
  const result = balance(10, 50, 20);
  expect(result).toMatchObject({ loadBytes: 40 * MIB, remainingBytes: 10 * MIB });
  expect(balanceText(result)).toMatch(
    /^start .*10\.0 MiB .* a\nloaded .*50\.0 MiB .* b\ndrained .*20\.0 MiB .* c\n/,
  );
  expect(balanceText(result)).toMatch(
    /The load took 40\.0 MiB\. After it had gone, 10\.0 MiB \(25 %\) remained\.$/,
  );
});

test('a load that gives everything back', () => {
  expect(balance(10, 50, 9).remainingBytes).toBe(0);
});

test('files in the wrong order', () => {
  expect(balanceText(balance(50, 20, 10))).toContain('Check the order of the files.');
});
