import { EventEmitter } from 'node:events';
import { Discovery } from '../../../src/hooks/discovery/collection-discovery.ts';
import { Names } from '../../../src/hooks/unique-names.ts';

class Counting extends EventEmitter {
  static asked = 0;
  override listeners(event: string | symbol) {
    Counting.asked += 1;
    return super.listeners(event);
  }
}
const withListener = (): Counting => new Counting().on('connection', () => undefined);

test('a slice of a look asks the inspector about one emitter at most', () => {
  const discovery = new Discovery(new Names());
  const servers = Array.from({ length: 3 }, () => ({ emitter: withListener(), events: ['connection'] }));
  const holders = Array.from({ length: 2 }, () => Object.assign(withListener(), { req: withListener() }));
  const slices: number[] = [];
  for (let done = false; !done;) {
    const before = Counting.asked;
    done = discovery.lookSlice(2, servers, holders);
    slices.push(Counting.asked - before);
  }
  // A holder's emitters are named when its turn comes, one after the other.
  expect(slices.reduce((sum, asked) => sum + asked, 0)).toBe(3 + 2 * 2);
  expect(slices).toHaveLength(3 + 2 * 2 + 1);
  expect(discovery.isDue(2)).toBe(false);
  expect(discovery.isDue(20)).toBe(true);
});
