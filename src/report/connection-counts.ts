/** Sentences about connections: counted in the snapshots, or by the agent between them. Pure. */
import type { Analysis, ConnectionCount, ReportPoint, Served, Suspect } from '../types/index.ts';
import { formatCount } from '../core/format.ts';

type Counts = Pick<Analysis, 'connections' | 'served'>;

/** A point that is farther away does not describe the snapshot: a minute at the default interval of 15 s. */
const MAX_DISTANCE_MS = 60_000;
const MAX_DISTANCE_POINTS = 4;
const SNAPSHOT_NAME = /heap-(\d{13})-/;

/** Epoch milliseconds from the file name of an agent's snapshot; NaN for any other name. */
export const snapshotTimeMs = (file: string): number => Number(SNAPSHOT_NAME.exec(file)?.[1] ?? Number.NaN);

/**
 * Connections that the agent counted between the first and the last snapshot. Null when the points of the report do
 * not cover both snapshots, or when the process restarted in between.
 */
export function connectionsServed(points: readonly ReportPoint[], files: readonly string[]): Served | null {
  const [from, to] = [files[0], files.at(-1)].map((file) => nearestPoint(points, snapshotTimeMs(file ?? '')));
  if (from?.opened === undefined || to?.opened === undefined) return null;
  if (from.closed === undefined || to.closed === undefined) return null;
  const served = { opened: to.opened - from.opened, closed: to.closed - from.closed };
  return served.opened < 0 || served.closed < 0 ? null : served;
}

function nearestPoint(points: readonly ReportPoint[], timeMs: number): ReportPoint | null {
  let nearest: ReportPoint | null = null;
  let distanceMs = maxDistanceMs(points);
  for (const point of points) {
    const pointDistanceMs = Math.abs(point.wallMs - timeMs);
    if (pointDistanceMs <= distanceMs) [nearest, distanceMs] = [point, pointDistanceMs];
  }
  return nearest;
}

/** Points are closer to each other with a shorter interval or a time scale, and cover a shorter time then. */
function maxDistanceMs(points: readonly ReportPoint[]): number {
  const spanMs = (points.at(-1)?.wallMs ?? 0) - (points[0]?.wallMs ?? 0);
  return Math.min(MAX_DISTANCE_MS, (spanMs / Math.max(1, points.length - 1)) * MAX_DISTANCE_POINTS);
}

/** The connection counts of a whole analysis. The sentences have no full stop at their end. */
export function connectionSentences({ connections, served }: Counts): string[] {
  const fromSnapshots = connections === null ? [] : [snapshotCounts(connections, served !== undefined)];
  if (served === undefined) return fromSnapshots;
  const { opened, closed } = served;
  return [
    ...fromSnapshots,
    `Between the snapshots the agent counted ${formatCount(opened)} connections opened and ${formatCount(closed)} closed`,
  ];
}

function snapshotCounts({ open, closed, before, since }: ConnectionCount, isServedKnown: boolean): string {
  const last = `${formatCount(open)} open, ${formatCount(closed)} closed but still in memory`;
  if (before === null) return `Server connections in the snapshot: ${last}`;
  const first = `${formatCount(before.open)} open, ${formatCount(before.closed)} closed but still in memory`;
  const both = `Server connections in the first snapshot: ${first}; in the last: ${last}`;
  if (since === null)
    return `${both}. The object ids of these files do not show which connections are the same`;
  const opened = listCounts([since.opened, 'open'], [since.openedAndClosed, 'closed but still in memory']);
  const older = listCounts([since.closed, 'closed since and still in memory'], [since.released, 'freed']);
  const parts = [
    both,
    ...(opened === '' ? [] : [`Opened after the first snapshot: ${opened}`]),
    ...(older === '' ? [] : [`Of the connections in the first snapshot: ${older}`]),
    ...(isServedKnown
      ? []
      : ['Connections that opened and were freed between the snapshots are in neither and are not counted']),
  ];
  return parts.join('. ');
}

const listCounts = (...counts: readonly (readonly [number, string])[]): string =>
  counts
    .filter(([count]) => count > 0)
    .map(([count, state]) => `${formatCount(count)} ${state}`)
    .join(', ');

/** With fewer connections than this a ratio of entries to connections may be chance. */
const MIN_CONNECTIONS = 20;
/** Outside this range the entries do not come from the connections. */
const MIN_ENTRIES_PER_CONNECTION = 0.5;
const MAX_ENTRIES_PER_CONNECTION = 100;

/**
 * Compares the growth of one suspect with connections: those that the agent counted, else those that the snapshots show
 * as closed but still in memory. Null when there are too few of either, or when the numbers do not fit together.
 */
export function growthPerConnection({ growth }: Suspect, { connections, served }: Counts): string | null {
  if (growth === null) return null;
  const gained = `+${formatCount(growth.objects)} entries`;
  if (served !== undefined && isComparable(growth.objects, served.opened)) {
    const perConnection = (growth.objects / served.opened).toFixed(2);
    return `${gained}: ${perConnection} for each of the ${formatCount(served.opened)} connections that the agent saw open meanwhile`;
  }
  if (connections?.before != null && connections.since === null) {
    const { closed, before } = connections;
    if (!isComparable(growth.objects, closed - before.closed)) return null;
    return `${gained} while the closed connections still in memory went from ${formatCount(before.closed)} to ${formatCount(closed)}`;
  }
  const retained = connections?.since?.openedAndClosed ?? 0;
  if (!isComparable(growth.objects, retained)) return null;
  return `${gained} while ${formatCount(retained)} connections opened, closed and stayed in memory`;
}

const isComparable = (entries: number, connections: number): boolean =>
  connections >= MIN_CONNECTIONS &&
  entries >= connections * MIN_ENTRIES_PER_CONNECTION &&
  entries <= connections * MAX_ENTRIES_PER_CONNECTION;
