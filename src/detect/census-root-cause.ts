/** The containers of the censuses and the alerts of other detectors: which of them have the same cause? Pure. */

import { formatCount, formatShortSpot } from '../core/format.ts';
import { DERIVED_LEAKS } from '../kinds/index.ts';
import type { Alert, Culprit, Finding, ResourceType, SourceLocation } from '../types/index.ts';
import { kindOf } from './census-evidence.ts';
import type { ContainerGrowth } from './container-growth.ts';

/** Rows of a census by the resource that an alert is about. A pipe of a child process comes with its handle. */
const RESOURCE_ROWS: Partial<Record<ResourceType, (growth: ContainerGrowth) => boolean>> = {
  timer: ({ row }) => row.type === 'Timers',
  timeout: ({ row }) => row.type === 'Timers',
  child_process: ({ row }) => isHandle(row.name, 'Process'),
  pipe: ({ row }) => isHandle(row.name, 'Pipe'),
  outgoing_socket: ({ row }) => isHandle(row.name, 'TCP'),
  file_watcher: ({ row }) => isHandle(row.name, 'FSEvent') || isHandle(row.name, 'StatWatcher'),
};
/** The root cause is a line of the application. */
const MAX_RANK = 3;
const CONFIDENCE = { found: 0.8, inconclusive: 0.5 } as const;

/** Chosen: the growth of the listeners and of the entries per hour, which are measured over different times, differs by less. */
const SAME_PACE = 0.2;

type OpenAlert = Pick<Alert, 'kind' | 'subject' | 'evidence'>;

const isHandle = (name: string, handle: string): boolean => name === `open handles ${handle}`;

/**
 * The open alert that is about the container of a finding already: it has the same name, it counts the same resource, or its
 * root cause is the line that adds the entries. A second alert would page for the same leak again. Null when there is none.
 */
export function knownLeak<T extends OpenAlert & Pick<Alert, 'family' | 'culprit'>>(
  finding: Pick<Finding, 'kind' | 'subject'>,
  growths: readonly ContainerGrowth[],
  open: readonly T[],
): T | null {
  const growth = growths.find(
    (each) => each.answer === 'found' && each.row.name === finding.subject && kindOf(each) === finding.kind,
  );
  const location = growth?.row.location ?? null;
  if (growth === undefined || location === null) return null;
  const isOwn = ({ kind, subject }: T): boolean => kind === finding.kind && subject === finding.subject;
  // Closed connections in memory are the effect of any leak.
  const isEffect = growth.row.type === 'Connections' && !open.some(isOwn);
  const known = open.find((alert) => {
    const { kind, family, subject, culprit } = alert;
    if (family !== 'leak' || isOwn(alert)) return false;
    const isSameLine = culprit?.file === location.file && culprit.line === location.line;
    const isSame = kind === finding.kind && fits({ kind, subject }, growth);
    return isEffect || isSameLine || isSame || onlyEmitterOf(alert, growths, open) === growth;
  });
  return known ?? null;
}

/** How much a root cause tells: a line of the application more than one of a package, and a line more than an object. */
export function rankRootCause(culprit: Pick<Culprit, 'file' | 'package'> | null): 0 | 1 | 2 | 3 {
  if (culprit === null) return 0;
  if (culprit.file === null) return 1;
  return culprit.package === null ? 3 : 2;
}

/** Whether a census tells more than the present root cause: a better line, or certainty about the container of that line. */
export function isBetterRootCause(culprit: Culprit, present: Culprit | null): boolean {
  const gain = rankRootCause(culprit) - rankRootCause(present);
  if (present === null || gain !== 0) return gain > 0;
  const isSame =
    culprit.name === present.name && culprit.file === present.file && culprit.line === present.line;
  return isSame && culprit.confidence > present.confidence;
}

/** Whether no census can add to the root cause: it is a line of the application, and no doubt is left. */
export const isFinalRootCause = (culprit: Culprit | null): boolean =>
  rankRootCause(culprit) === MAX_RANK && culprit!.confidence > CONFIDENCE.inconclusive;

/** Null when no container that grew fits the alert. `open` has all open alerts. */
export function rootCauseFor(
  alert: OpenAlert,
  growths: readonly ContainerGrowth[],
  open: readonly OpenAlert[],
): Culprit | null {
  const isLocated = ({ answer, row }: ContainerGrowth): boolean => isSuspect(answer) && row.location !== null;
  const growth =
    growths.find((each) => isLocated(each) && fits(alert, each)) ?? onlyEmitterOf(alert, growths, open);
  if (growth === null || !isLocated(growth)) return null;
  // The title of such an alert has the growth and its reason already.
  const isInTitle = growth.answer === 'found' && growth.row.name === alert.subject;
  return rootCauseOf(growth, isInTitle);
}

/** The line that adds the entries of this finding, for a finding that joins an alert about another leak. */
export function locationFor(
  finding: Pick<Finding, 'kind' | 'subject'>,
  growths: readonly ContainerGrowth[],
): SourceLocation | null {
  // The bytes of every leak are in a finding about memory, so it has no line of its own.
  if (finding.kind in DERIVED_LEAKS) return null;
  const growth = growths.find(
    (each) => each.answer === 'found' && each.row.location !== null && fits(finding, each),
  );
  return growth?.row.location ?? null;
}

const isSuspect = (answer: ContainerGrowth['answer']): answer is keyof typeof CONFIDENCE =>
  answer === 'found' || answer === 'inconclusive';

function fits({ kind, subject }: Pick<Alert, 'kind' | 'subject'>, growth: ContainerGrowth): boolean {
  if (growth.row.name === subject) return true;
  if (kind === 'resource-growth') return RESOURCE_ROWS[subject as ResourceType]?.(growth) ?? false;
  if (kind === 'listener-accumulation') return isOnEmitter(growth.row, subject);
  if (kind === 'registry-growth' || kind === 'queue-growth')
    return lastName(growth.row.name) === lastName(subject);
  // The effect of a leak that the counts do not see; growths are ranked, the most likely cause first.
  return kind in DERIVED_LEAKS && growth.answer === 'found';
}

/**
 * The entries of the emitter that an alert `Queue *` is about, where a variable has it: `jobs._events` does not have the name of the
 * class. With a second such alert or a second emitter that grows, they could be those of the other one. Null where that is
 * possible, or where the entries grow at another pace than the listeners.
 */
function onlyEmitterOf(
  alert: OpenAlert,
  growths: readonly ContainerGrowth[],
  open: readonly OpenAlert[],
): ContainerGrowth | null {
  const isWholeEmitter = ({ kind, subject }: OpenAlert): boolean =>
    kind === 'listener-accumulation' && subject.endsWith(' *');
  const [growth, another] = growths.filter(
    (each) => isSuspect(each.answer) && kindOf(each) === 'listener-accumulation',
  );
  if (growth === undefined || another !== undefined) return null;
  if (!isWholeEmitter(alert) || open.filter(isWholeEmitter).length !== 1) return null;
  if (!/(?:^|[^\w$#])[a-z_$][\w$]*\._events$/.test(growth.row.name)) return null;
  const perHour = alert.evidence.find(({ name }) => name === 'rise_per_hour')?.value ?? 0;
  return Math.abs(growth.perHour - perHour) <= SAME_PACE * perHour ? growth : null;
}

/** `listeners of 'done' on Queue` and `Queue._events` are those of the alert `Queue *`, and the first one of `Queue done`. */
function isOnEmitter({ type, name }: ContainerGrowth['row'], subject: string): boolean {
  const [, emitter = '', event = ''] = /^(.+?)(?: #\d+)? (\S+)$/.exec(subject) ?? [];
  const owner = /([\w$#]+)\._events$/.exec(name)?.[1];
  if (owner !== undefined) return type === 'Object' && event === '*' && owner === emitter;
  const [, rowEvent, rowEmitter] = /^listeners of (.+) on (.+)$/.exec(name) ?? [];
  return rowEmitter === emitter && (event === '*' || rowEvent === `'${event}'`);
}

/** `connections` of `Connection.hub.connections` and of `websocket connections`. */
const lastName = (name: string): string => /[\w$#]+$/.exec(name)?.[0] ?? name;

function rootCauseOf({ row, answer, because, gained }: ContainerGrowth, isInTitle: boolean): Culprit {
  const { name, location } = row;
  const how = row.type === 'Connections' ? 'retained' : 'added';
  const place = location === null ? '' : `, ${how} at ${formatShortSpot(location)}`;
  const growth = ` gained ${formatCount(Math.round(gained))} entries between censuses of containers`;
  const certainty = answer === 'found' ? `: ${because}` : `; not certain yet, because ${because}`;
  return {
    text: isInTitle ? `entries of \`${name}\`${place}` : `\`${name}\`${growth}${place}${certainty}`,
    name,
    file: location?.file ?? null,
    line: location?.line ?? null,
    function: location?.function ?? null,
    package: location?.package ?? null,
    confidence: answer === 'found' ? CONFIDENCE.found : CONFIDENCE.inconclusive,
  };
}
