/** The retaining path of a suspect as text: the state of each step, and the references that may be the leak. */
import type { RetainingStep, SharedRetention } from '../types/index.ts';
import { formatBytes } from '../core/format.ts';

const MAX_STEPS = 10;

export const STATE_LABELS: Readonly<Record<RetainingStep['state'], string>> = {
  'not-leaking': 'not leaking',
  unknown: 'unknown',
  leaking: 'leaking',
};

/** Lines for a terminal. `~~>` marks a suspect reference; a path without one gives no lines. */
export function retainingPathLines(steps: readonly RetainingStep[]): string[] {
  const firstSuspect = steps.findIndex(({ isSuspect }) => isSuspect);
  if (firstSuspect < 0) return [];
  const from = Math.max(0, Math.min(steps.length - MAX_STEPS, firstSuspect - 2));
  const shown = steps.slice(from, from + MAX_STEPS);
  return [
    '   the leak is at a reference marked ~~>, after the last object that is not leaking:',
    ...(from > 0 ? ['        …'] : []),
    ...shown.map(
      (step) => `     ${step.isSuspect ? '~~>' : ' ->'} ${step.text} (${step.is}): ${stateText(step)}`,
    ),
    ...(from + shown.length < steps.length ? ['        …'] : []),
  ];
}

const stateText = ({ state, because }: RetainingStep): string =>
  `${STATE_LABELS[state]}${because === null ? '' : `, ${because}`}`;

export function sharedBytesText({ with: others, bytes }: SharedRetention): string {
  const names = others.map(({ rank, name }) => `${name} (suspect ${rank})`).join(' and ');
  const condition = others.length === 1 ? 'both' : `all ${others.length + 1}`;
  return `${formatBytes(bytes)} are shared with ${names} and are freed only when ${condition} release them`;
}
