/** What a report of the agent says of the time between two snapshots that lie beside it. Pure. */
import type { ReportPoint, Served } from '../types/index.ts';

/** The agent looks four times a minute: farther away it was not looking. */
const NEAR_MS = 60_000;
const TAKEN = /heap-(\d{13})-/;

/** When a file of the agent was taken; its name says so. */
export const takenAtMs = (file: string): number => Number(TAKEN.exec(file)?.[1] ?? Number.NaN);

/** Null when the points do not reach from one to the other, or the process began anew in between. */
export function servedBetween(points: readonly ReportPoint[], files: readonly string[]): Served | null {
  const [from, to] = [files[0], files.at(-1)].map((file) => pointAt(points, takenAtMs(file ?? '')));
  if (from?.opened === undefined || to?.opened === undefined) return null;
  if (from.closed === undefined || to.closed === undefined) return null;
  const served = { opened: to.opened - from.opened, closed: to.closed - from.closed };
  return served.opened < 0 || served.closed < 0 ? null : served;
}

function pointAt(points: readonly ReportPoint[], atMs: number): ReportPoint | null {
  let nearest: ReportPoint | null = null;
  let leastMs = NEAR_MS;
  for (const point of points) {
    const awayMs = Math.abs(point.wallMs - atMs);
    if (awayMs <= leastMs) [nearest, leastMs] = [point, awayMs];
  }
  return nearest;
}
