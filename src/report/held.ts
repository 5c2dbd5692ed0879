/** Where on the way to an entry to look, what is freed only together, and which connections are behind it: as words. */
import type { Analysis, ConnectionCount, HeldStep, Shared, Suspect } from '../types/index.ts';
import { formatBytes, formatCount } from '../core/format.ts';

const MOST_STEPS = 10;

export const STATE_WORDS: Readonly<Record<HeldStep['state'], string>> = {
  'not-leaking': 'not leaking',
  unknown: 'unknown',
  leaking: 'leaking',
};

/** `~~>` leads over a reference that is suspect. */
export function heldLines(steps: readonly HeldStep[]): string[] {
  if (!steps.some(({ isSuspect }) => isSuspect)) return [];
  const shown = steps.slice(Math.max(0, Math.min(steps.length - MOST_STEPS, firstSuspect(steps) - 2)));
  const cut = shown.slice(0, MOST_STEPS);
  return [
    '   look at ~~>, between what should be there and what should not:',
    ...(shown.length < steps.length ? ['        …'] : []),
    ...cut.map(
      (step) => `     ${step.isSuspect ? '~~>' : ' ->'} ${step.text} (${step.is}): ${stateText(step)}`,
    ),
    ...(cut.length < shown.length ? ['        …'] : []),
  ];
}

const firstSuspect = (steps: readonly HeldStep[]): number => steps.findIndex(({ isSuspect }) => isSuspect);

export const stateText = ({ state, because }: HeldStep): string =>
  `${STATE_WORDS[state]}${because === null ? '' : `, ${because}`}`;

export function sharedText({ with: others, bytes }: Shared): string {
  const names = others.map(({ rank, name }) => `${name} (${rank}.)`).join(' and ');
  const when = others.length === 1 ? 'both let go' : `all ${others.length + 1} let go`;
  return `shared with ${names}: ${formatBytes(bytes)} freed only if ${when}`;
}

/** Counts of one snapshot, or of the first and the last; what neither of them can know is said as well. */
function connectionsText({ open, closed, before, since }: ConnectionCount, isCounted: boolean): string {
  const now = `${formatCount(open)} open, ${formatCount(closed)} closed and still held`;
  if (before === null) return `Connections accepted: ${now}`;
  const then = `${formatCount(before.open)} open, ${formatCount(before.closed)} closed and still held`;
  const whole = `Connections accepted: first ${then}; last ${now}`;
  if (since === null) return `${whole}. Which are the same the ids of these files do not tell`;
  const { opened, openedAndClosed, closed: meanwhile, released } = since;
  const fresh = counted([opened, 'open'], [openedAndClosed, 'closed and still held']);
  const old = counted([meanwhile, 'closed since and still held'], [released, 'gone']);
  const parts = [
    whole,
    ...(fresh === '' ? [] : [`New since the first: ${fresh}`]),
    ...(old === '' ? [] : [`Of the first: ${old}`]),
    ...(isCounted ? [] : ['What opened and was collected in between is in no snapshot, so this is no rate']),
  ];
  return parts.join('. ');
}

const counted = (...counts: readonly (readonly [number, string])[]): string =>
  counts
    .filter(([count]) => count > 0)
    .map(([count, what]) => `${formatCount(count)} ${what}`)
    .join(', ');

const LEAST_CONNECTIONS = 20;
const LEAST_EACH = 0.5;
const MOST_EACH = 100;

/** Beside what gained: connections. By the agent's count, else those that came, went and are held; null where few did. */
export function besideConnections({ growth }: Suspect, { connections, served }: Counted): string | null {
  if (growth === null) return null;
  const gained = `+${formatCount(growth.objects)}`;
  if (served !== undefined && isComparable(growth.objects, served.opened)) {
    const each = (growth.objects / served.opened).toFixed(2);
    return `${gained}: ${each} for each of ${formatCount(served.opened)} connections opened meanwhile, by the agent's count`;
  }
  if (connections?.before != null && connections.since === null) {
    const { closed, before } = connections;
    if (!isComparable(growth.objects, closed - before.closed)) return null;
    return `${gained} while connections that are closed and still held went from ${formatCount(before.closed)} to ${formatCount(closed)}`;
  }
  const held = connections?.since?.openedAndClosed ?? 0;
  if (!isComparable(growth.objects, held)) return null;
  return `${gained} while ${formatCount(held)} connections that are new since the first snapshot are closed and still held`;
}

type Counted = Pick<Analysis, 'connections' | 'served'>;

const isComparable = (gained: number, connections: number): boolean =>
  connections >= LEAST_CONNECTIONS && gained >= connections * LEAST_EACH && gained <= connections * MOST_EACH;

/** What is known of the connections behind it, one sentence each. */
export function connectionLines({ connections, served }: Counted): string[] {
  const agents =
    served === undefined
      ? []
      : [
          `Between the snapshots the agent counted ${formatCount(served.opened)} connections opened and ${formatCount(served.closed)} closed`,
        ];
  return [...(connections === null ? [] : [connectionsText(connections, served !== undefined)]), ...agents];
}
