/**
 * Chooses the root cause that an alert names: a suspect of the heap analysis, the line that the allocation profile
 * shows, or both together. Pure.
 */
import { KINDS, countsConnections } from '../kinds/index.ts';
import type {
  Alert,
  AllocationProfile,
  Analysis,
  CodePlace,
  Culprit,
  ProfileLine,
  SourceLocation,
  Suspect,
} from '../types/index.ts';

/** The confidence of a suspect that only a single snapshot shows; a suspect below it is a guess. */
const MIN_CONFIDENCE = 0.3;
/** Chosen: with this confidence no further snapshot is taken, because each one stops the server. */
const CLEAR_CONFIDENCE = 0.6;
/** Chosen: only the first suspects may be preferred to the largest one because they match the alert. */
const MAX_CANDIDATES = 3;
/** Chosen: a profile shows where live data is allocated, not what retains it, so alone it gives at most this confidence. */
const MAX_PROFILE_CONFIDENCE = 0.6;
/** Chosen: a line with a smaller share of the growth is one among many. */
const MIN_SHARE = 0.3;
/** Chosen: V8 samples at random, so one or two samples more than before are noise. */
const MIN_SAMPLES = 3;
/** Chosen: a profile frame names the first line of its function, a suspect a line inside it. */
const MAX_LINES_APART = 40;
/** Chosen: with fewer connections a number per connection is noise. */
const MIN_CONNECTIONS_OPENED = 20;

/** True when the root cause is sure enough that no further snapshot is needed. */
export const isClear = (culprit: Culprit): boolean => culprit.confidence >= CLEAR_CONFIDENCE;

/** False for a line in Node, in a package, or in no file. */
export const isInApplication = ({ file, package: packageName }: Culprit): boolean =>
  file !== null && packageName === null && !file.startsWith('node:') && !isInPackage(file);

interface Inputs {
  /** Null when there is no analysis. */
  readonly analysis: Analysis | null;
  readonly profile: AllocationProfile | null;
  /** Connections that opened between the first and the last snapshot; 0 when unknown. */
  readonly connectionsOpened: number;
}

/** Null when nothing is likely enough to name. */
export function chooseRootCause(
  alert: Pick<Alert, 'kind' | 'subject'>,
  { analysis, profile, connectionsOpened }: Inputs,
): Culprit | null {
  const suspect = analysis === null ? null : chooseSuspect(analysis.suspects, alert, connectionsOpened);
  const line = growingLine(profile);
  if (suspect !== null) return describeSuspect(suspect, line, connectionsOpened);
  return line !== null && KINDS[alert.kind].keepsData ? describeLine(line) : null;
}

/** Live bytes at one time show the working set. A library's line (a socket, a frame) is where every server allocates. */
function growingLine(profile: AllocationProfile | null): ProfileLine | null {
  if (profile === null || !profile.isGrowth) return null;
  const minBytes = MIN_SAMPLES * profile.intervalBytes;
  const isGrowing = ({ share, bytes, file }: ProfileLine): boolean =>
    share >= MIN_SHARE && bytes >= minBytes && !isInPackage(file);
  return profile.lines.find(isGrowing) ?? null;
}

/**
 * The first candidate that the alert is about, else the first one of the usual type, else one that gained an entry for each
 * connection when the alert is about connections, else the first one.
 */
function chooseSuspect(
  suspects: readonly Suspect[],
  { kind, subject }: Pick<Alert, 'kind' | 'subject'>,
  connectionsOpened: number,
): Suspect | null {
  // Text that is concatenated refers to nothing but text, so it retains no connection.
  const candidates = suspects
    .filter(
      ({ confidence, type }) =>
        confidence >= MIN_CONFIDENCE && (type !== 'Strings' || !countsConnections(kind)),
    )
    .slice(0, MAX_CANDIDATES);
  return (
    candidates.find(({ name, path }) => name === subject || path.includes(subject)) ??
    candidates.find(({ path }) => endsWithFieldOf(path, subject)) ??
    candidates.find(({ type }) => type === KINDS[kind].retainedBy?.suspectType) ??
    candidates.find((suspect) => countsConnections(kind) && isOnePerConnection(suspect, connectionsOpened)) ??
    candidates[0] ??
    null
  );
}

/** Chosen: some connections close meanwhile, and some open between the count and the snapshot. */
const MAX_OFF_ONE = 0.2;

const isOnePerConnection = ({ growth }: Suspect, connectionsOpened: number): boolean =>
  growth !== null &&
  connectionsOpened >= MIN_CONNECTIONS_OPENED &&
  Math.abs(growth.objects / connectionsOpened - 1) <= MAX_OFF_ONE;

/** `rooms.members` in the running process is `RoomDirectory.members` in the snapshot: only the field is the same. */
function endsWithFieldOf(path: readonly string[], subject: string): boolean {
  const field = /\.[#\w$]+$/.exec(subject)?.[0];
  return field !== undefined && path.at(-1)?.endsWith(field) === true;
}

function describeSuspect(suspect: Suspect, line: ProfileLine | null, connectionsOpened: number): Culprit {
  const culprit = culpritFrom(suspect, connectionsOpened);
  if (line === null) return culprit;
  if (!isInApplication(culprit)) {
    const { file, line: packageLine, function: inFunction, package: name } = culprit;
    const through = { file, line: packageLine, function: inFunction, package: name };
    return {
      ...culprit,
      ...(file === null ? {} : { through }),
      package: null,
      text: `${culprit.text}; most of what grew is allocated at ${formatPlace(line)}`,
      file: line.file,
      line: line.line,
      function: line.function,
      confidence: suspect.confidence * (1 - (1 - line.share) / 2),
    };
  }
  // A profile that shows another line does not contradict the suspect: it cannot see what merely retains data.
  if (!isSamePlace(culprit, line)) return culprit;
  return { ...culprit, confidence: 1 - (1 - suspect.confidence) * (1 - line.share / 2) };
}

function culpritFrom(suspect: Suspect, connectionsOpened: number): Culprit {
  const { name, type, path, location, through, objects, growth, confidence } = suspect;
  // The path of a list leads on to its newest entry, but the list is what grew.
  const endsAtEntry = (type === 'Array' || type === 'Listeners') && /^\[\d+\]$/.test(path.at(-1) ?? '');
  const container = (endsAtEntry ? path.slice(0, -1) : path).join('') || name;
  const count =
    growth === null
      ? `retains ${objects} objects`
      : `gained ${growth.objects} objects${formatPerConnection(growth.objects, connectionsOpened)}`;
  const place = location === null ? '' : `, added at ${formatPlace(location)}`;
  const wrapper = through === undefined ? '' : `, through ${formatWrapper(through)}`;
  return {
    text: `\`${container}\` ${count}${place}${wrapper}`,
    name,
    ...(location === null ? NO_PLACE : placeOf(location)),
    ...(through === undefined ? {} : { through: placeOf(through) }),
    confidence,
  };
}

const NO_PLACE: CodePlace = { file: null, line: null, function: null, package: null };

const placeOf = ({ file, line, function: inFunction, package: name = null }: SourceLocation): CodePlace => ({
  file,
  line,
  function: inFunction,
  package: name,
});

/** `rxjs@7.8.2 fromEvent.js:54`, `node:events:1157`. */
function formatWrapper({ file, line, package: name }: SourceLocation): string {
  return name == null ? `${file}:${line}` : `${name} ${file.split(/[\\/]/).at(-1)}:${line}`;
}

/** Near 1 means that each connection leaks one object. Beyond a factor of 100 the growth has another cause. */
function formatPerConnection(objects: number, connectionsOpened: number): string {
  const perConnection = objects / connectionsOpened;
  return connectionsOpened >= MIN_CONNECTIONS_OPENED && perConnection >= 0.01 && perConnection <= 100
    ? `, ${perConnection.toFixed(2)} for each of ${connectionsOpened} connections opened meanwhile`
    : '';
}

function describeLine(line: ProfileLine): Culprit {
  return {
    text: `${Math.round(line.share * 100)} % of what grew between two readings of the allocation profile is allocated at ${formatPlace(line)}`,
    name: line.function,
    file: line.file,
    line: line.line,
    function: line.function,
    package: null,
    confidence: Math.min(MAX_PROFILE_CONFIDENCE, line.share),
  };
}

const isInPackage = (file: string): boolean => /[\\/]node_modules[\\/]/.test(file);

/** `onMessage (server.js:33)`, as in a stack trace of V8. */
function formatPlace(place: { file: string; line: number; function: string | null }): string {
  const spot = `${place.file}:${place.line}`;
  return place.function === null ? spot : `${place.function} (${spot})`;
}

/** One of the two paths may be relative, so only folder and file name are compared. */
function isSamePlace(culprit: Culprit, line: ProfileLine): boolean {
  const tail = (path: string): string => path.split(/[\\/]/).slice(-2).join('/');
  if (culprit.file === null || tail(culprit.file) !== tail(line.file)) return false;
  if (culprit.function !== null && culprit.function === line.function) return true;
  const linesBelow = (culprit.line ?? 0) - line.line;
  return linesBelow >= 0 && linesBelow <= MAX_LINES_APART;
}
