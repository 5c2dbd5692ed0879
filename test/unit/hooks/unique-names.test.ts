import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { UniqueNames } from '../../../src/hooks/unique-names.ts';

test('a name stays, and further objects with the same label get a number', () => {
  const names = new UniqueNames();
  const [first, second] = [{}, {}];
  expect([names.nameOf(first, 'ws'), names.nameOf(second, 'ws'), names.nameOf(first, 'other')]).toEqual([
    'ws',
    'ws #2',
    'ws',
  ]);
});

test('long labels, which clients can choose, are not kept', () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const names = new UniqueNames();
  const usedBytes = (): number => {
    collect();
    return getHeapStatistics().used_heap_size;
  };
  const before = usedBytes();
  for (let n = 0; n < 100; n += 1) {
    // A received name is a flat string: a repetition alone has almost no bytes of its own.
    const received = Buffer.from(`/${n}-${'x'.repeat(500_000)}`).toString('latin1');
    expect(names.nameOf({}, `socket.io ${received}`)).toMatch(/^socket\.io \/\d+-x+$/);
  }
  // All labels together have 50 MB.
  expect(usedBytes() - before).toBeLessThan(5_000_000);
  expect(names.nameOf({}, 'ws')).toBe('ws');
});
