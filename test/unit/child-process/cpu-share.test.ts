import { throttle } from '../../../src/child-process/cpu-share.ts';
import { cpuShareFor } from '../../../src/core/cpu-share.ts';
import { createFakeClock } from '../../support/fake-clock.ts';

test('a child gets a small share of one core when the quota is below two cores', () => {
  expect([null, 4, 2, 1, 0.5, 0.1].map(cpuShareFor)).toEqual([1, 1, 1, 0.25, 0.125, 0.1]);
});

test('throttle halts and continues the child in turns that fit its share, and continues it at the end', () => {
  const sent: string[] = [];
  const kill = jest.spyOn(process, 'kill').mockImplementation((pid, name) => {
    sent.push(`${pid} ${String(name)}`);
    return true;
  });
  const clock = createFakeClock();
  const stop = throttle(7, 0.25, clock);
  expect(sent).toEqual(['7 SIGCONT']);
  clock.advance(10);
  expect(sent.at(-1)).toBe('7 SIGSTOP');
  clock.advance(29);
  expect(sent.length).toBe(2);
  clock.advance(1);
  expect(sent.at(-1)).toBe('7 SIGCONT');
  clock.advance(10);
  stop();
  clock.advance(1000);
  expect(sent.slice(3)).toEqual(['7 SIGSTOP', '7 SIGCONT']);
  kill.mockRestore();
});
