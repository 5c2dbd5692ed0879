import { startProgress } from '../../../src/cli/progress.ts';
import { createFakeClock } from '../../support/fake-clock.ts';

function start() {
  const clock = createFakeClock();
  const lines: string[] = [];
  const progress = startProgress({ err: (text) => void lines.push(text) }, 'reading', clock);
  return { clock, lines, progress };
}

test('is silent for two seconds, then writes a line each second', () => {
  const { clock, lines, progress } = start();
  clock.advance(1999);
  expect(lines).toEqual([]);
  clock.advance(1);
  progress.update('reading 40 %');
  clock.advance(1000);
  expect(lines).toEqual(['reading (2 s)\n', 'reading 40 % (3 s)\n']);
});

test('update writes a line when one is due, because a synchronous loop stops timers', () => {
  const { clock, lines, progress } = start();
  progress.stop();
  clock.advance(5000);
  progress.update('reading 90 %');
  progress.update('reading 91 %');
  expect(lines).toEqual(['reading 90 % (5 s)\n']);
});

test('writes nothing after stop', () => {
  const { clock, lines, progress } = start();
  progress.stop();
  clock.advance(10_000);
  expect(lines).toEqual([]);
});
