/** Which suspect of an analysis an alert is about. */
import { joinCulprit } from '../capture/culprit.ts';
import { KINDS } from '../kinds/index.ts';
import type { Alert, AllocationProfile, Analysis, Culprit } from '../types/index.ts';

/** Below this the analysis itself calls it a guess. */
const MIN_CONFIDENCE = 0.3;
const CLEAR_CONFIDENCE = 0.6;
const LOOKED_AT = 3;

export const isClear = (culprit: Culprit): boolean => culprit.confidence >= CLEAR_CONFIDENCE;

export function culpritOf(
  analysis: Analysis,
  alert: Pick<Alert, 'kind' | 'subject'>,
  profile: AllocationProfile | null,
  opened = 0,
): Culprit | null {
  const first = analysis.suspects
    .filter(({ confidence }) => confidence >= MIN_CONFIDENCE)
    .slice(0, LOOKED_AT);
  const suspect =
    first.find(({ name, path }) => name === alert.subject || path.includes(alert.subject)) ??
    first.find(({ path }) => isSameField(path, alert.subject)) ??
    first.find(({ type }) => type === KINDS[alert.kind].retainedBy?.suspectType) ??
    first[0];
  return suspect === undefined ? madeBy(profile, alert) : joinCulprit(suspect, profile, opened);
}

/** `rooms.members` of the running process is `RoomDirectory.members` in its heap. */
function isSameField(path: readonly string[], subject: string): boolean {
  const field = /\.[#\w$]+$/.exec(subject)?.[0];
  return field !== undefined && path.at(-1)?.endsWith(field) === true;
}

/** By the profile alone. */
export function madeBy(profile: AllocationProfile | null, { kind }: Pick<Alert, 'kind'>): Culprit | null {
  return KINDS[kind].keepsData ? joinCulprit(null, profile) : null;
}
