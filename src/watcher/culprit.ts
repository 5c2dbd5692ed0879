/** Which suspect of an analysis an alert is about. */
import type { Alert, Analysis, Culprit, Kind, Suspect } from '../types.ts';

/** Below this the analysis itself calls it a guess. */
const MIN_CONFIDENCE = 0.3;
const CLEAR_CONFIDENCE = 0.6;
/** What a kind is most often held by; the first suspect holds it where none of these is among the first. */
const HELD_BY: Partial<Record<Kind, RegExp>> = {
  'listener-accumulation': /listener/i,
  'queue-growth': /queue|array/i,
  'room-growth': /room/i,
  'external-buffers': /buffer/i,
};
const LOOKED_AT = 3;

export const isClear = (culprit: Culprit): boolean => culprit.confidence >= CLEAR_CONFIDENCE;

export function culpritOf(analysis: Analysis, alert: Pick<Alert, 'kind' | 'subject'>): Culprit | null {
  const first = analysis.suspects
    .filter(({ confidence }) => confidence >= MIN_CONFIDENCE)
    .slice(0, LOOKED_AT);
  const pattern = HELD_BY[alert.kind];
  const suspect =
    first.find(({ name, path }) => name === alert.subject || path.includes(alert.subject)) ??
    first.find(({ type, name }) => pattern?.test(type) === true || pattern?.test(name) === true) ??
    first[0];
  return suspect === undefined ? null : describe(suspect);
}

function describe({ name, type, path, location, growth, confidence }: Suspect): Culprit {
  const where = location === null ? '' : ` in ${location.file}:${location.line}`;
  const grew = growth === null ? '' : `, ${growth.objects} more objects between the snapshots`;
  const through = path.length > 1 ? ` (${path.join('')})` : '';
  return {
    text: `${name}, ${/^[aeiou]/i.test(type) ? 'an' : 'a'} ${type}${where}${through}${grew}`,
    name,
    file: location?.file ?? null,
    line: location?.line ?? null,
    function: location?.function ?? null,
    package: location?.package ?? null,
    confidence,
  };
}
