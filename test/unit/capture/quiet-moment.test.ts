import { isQuietMoment, maxQuietWaitMs } from '../../../src/capture/quiet-moment.ts';

const seconds = (count: number, load: number): number[] => Array<number>(count).fill(load);

test('a pause that no client notices does not wait, a longer one waits for a minute at most', () => {
  expect(maxQuietWaitMs(12)).toBe(0);
  expect(maxQuietWaitMs(900)).toBe(60_000);
});

test.each([
  ['no second has passed', [], false],
  ['the event loop is idle', [0.05], true],
  ['an idle second after busy ones', [0.6, 0.7, 0.08], true],
  ['busy seconds that are still compared', seconds(20, 0.4), false],
  ['a steady load after 20 seconds: it does not become quieter', [...seconds(20, 0.4), 0.42], true],
  ['a busier second than those before', [...seconds(20, 0.4), 0.7], false],
  [
    'a gap between bursts, as quiet as an earlier one',
    [...seconds(10, 0.9), 0.2, ...seconds(12, 0.9), 0.21],
    true,
  ],
])('%s', (_case, loads, isQuiet) => {
  expect(isQuietMoment(loads)).toBe(isQuiet);
});
