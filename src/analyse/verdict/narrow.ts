import type { RetainingStep } from '../../types/index.ts';

export type Judged = Pick<RetainingStep, 'text' | 'is' | 'state' | 'because'>;

/**
 * Where to look on a path from the root: what leads to something that should be there should be there too, and what
 * hangs from something that should not be there should not either. The references between the last of the one and the
 * first of the other are the suspects. What should be there wins over what should not above it.
 */
export function narrow(steps: readonly Judged[]): RetainingStep[] {
  const lastNot = steps.findLastIndex(({ state }) => state === 'not-leaking');
  const found = steps.findIndex(({ state }, at) => at > lastNot && state === 'leaking');
  const first = found < 0 ? Infinity : found;
  return steps.map((step, at) => {
    const isSuspect = at > Math.max(lastNot, 0) && at <= first;
    if (at < lastNot && step.state !== 'not-leaking') {
      return { ...step, state: 'not-leaking', because: `${steps[lastNot]!.text} is not`, isSuspect };
    }
    if (at > first && step.state !== 'leaking') {
      return { ...step, state: 'leaking', because: `${steps[first]!.text} is`, isSuspect };
    }
    return { ...step, isSuspect };
  });
}
