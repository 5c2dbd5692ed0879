import { DurationHistogram } from '../../../src/core/duration-histogram.ts';

describe('DurationHistogram', () => {
  test('has no reading before the first round trip', () => {
    expect(new DurationHistogram().read()).toBeNull();
  });

  test('counts are cumulative, and the last one has everything', () => {
    const histogram = new DurationHistogram();
    for (const seconds of [0.001, 0.003, 0.2, 60, Number.NaN, -1]) histogram.add(seconds);
    expect(histogram.read()).toEqual({
      boundsSeconds: [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
      counts: [1, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 4],
      sumSeconds: 60.204,
    });
  });

  test('counts in the bounds that it is given', () => {
    const histogram = new DurationHistogram([60, 3_600]);
    for (const seconds of [60, 61, 86_400]) histogram.add(seconds);
    expect(histogram.read()).toEqual({ boundsSeconds: [60, 3_600], counts: [1, 2, 3], sumSeconds: 86_521 });
  });
});
