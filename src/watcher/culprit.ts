/** Which suspect of an analysis an alert is about. */
import { joinCulprit } from '../capture/culprit.ts';
import type { Alert, AllocationProfile, Analysis, Culprit, Kind, SuspectType } from '../types/index.ts';

/** Below this the analysis itself calls it a guess. */
const MIN_CONFIDENCE = 0.3;
const CLEAR_CONFIDENCE = 0.6;
/** What a kind is most often held by; the first suspect is taken where none of these is among the first. */
const HELD_BY: Partial<Record<Kind, SuspectType>> = {
  'listener-accumulation': 'Listeners',
  'external-buffers': 'ArrayBuffers',
  'native-or-compression': 'Native',
};
/** Kinds that keep data: the line that makes most of what stays is most likely the one. */
const KEEPS_DATA: readonly Kind[] = [
  'registry-growth',
  'room-growth',
  'queue-growth',
  'retained-after-close',
  'heap-growth',
  'divergence',
  'exhaustion',
];
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
    first.find(({ type }) => type === HELD_BY[alert.kind]) ??
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
  return KEEPS_DATA.includes(kind) ? joinCulprit(null, profile) : null;
}
