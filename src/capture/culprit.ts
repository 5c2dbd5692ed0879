/** What the snapshot says holds it and what the profile says makes it, as one culprit. Pure. */

import type { AllocationProfile, Culprit, ProfileLine, Suspect } from '../types/index.ts';

/** A profile alone names lines of data, not of retention: it is never more than likely. */
const PROFILE_ALONE_MAX = 0.6;
/** Below it the line is one among many. */
const LEAST_SHARE = 0.3;
/** Frames say where their function begins, suspects the line within. */
const NEAR_LINES = 40;

/** `opened`: how many connections opened between the snapshots; 0 where that is not known. */
export function joinCulprit(
  suspect: Suspect | null,
  profile: AllocationProfile | null,
  opened = 0,
): Culprit | null {
  // A library's line that allocates (a socket, a frame) is where every server allocates: it accuses nobody.
  const line = profile?.lines.find(({ share, file }) => share >= LEAST_SHARE && !isPackage(file)) ?? null;
  if (suspect === null) return line === null ? null : ofLine(line);
  const culprit = ofSuspect(suspect, opened);
  if (line === null) return culprit;
  if (culprit.file === null) {
    const text = `${culprit.text}; what it holds is made in ${placeOf(line)}`;
    const confidence = suspect.confidence * (1 - (1 - line.share) / 2);
    return { ...culprit, text, file: line.file, line: line.line, function: line.function, confidence };
  }
  if (!agree(culprit, line)) return culprit;
  return { ...culprit, confidence: 1 - (1 - suspect.confidence) * (1 - line.share / 2) };
}

const isPackage = (file: string): boolean => /[\\/]node_modules[\\/]/.test(file);

function ofSuspect(suspect: Suspect, opened: number): Culprit {
  const { name, type, path, location, objects, growth, confidence } = suspect;
  // The path goes on to the newest entry; what gained is what it is in.
  const isToEntry = (type === 'Array' || type === 'Listeners') && /^\[\d+\]$/.test(path.at(-1) ?? '');
  const reached = (isToEntry ? path.slice(0, -1) : path).join('') || name;
  const count =
    growth === null
      ? `holds ${objects} objects`
      : `gained ${growth.objects} objects${sayPerOpened(growth.objects / opened, opened)}`;
  const place = location === null ? '' : `, from ${placeOf(location)}`;
  return {
    text: `\`${reached}\` ${count}${place}`,
    name,
    file: location?.file ?? null,
    line: location?.line ?? null,
    function: location?.function ?? null,
    package: location?.package ?? null,
    confidence,
  };
}

/** Near 1 it is left behind by each connection; what has nothing to do with them has no number worth a word. */
const sayPerOpened = (each: number, opened: number): string =>
  opened >= LEAST_OPENED && each >= 0.01 && each <= 100
    ? `, ${each.toFixed(2)} for each of ${opened} connections opened meanwhile`
    : '';
const LEAST_OPENED = 20;

function ofLine(line: ProfileLine): Culprit {
  return {
    text: `${Math.round(line.share * 100)} % of what was allocated and stays is made in ${placeOf(line)}`,
    name: line.function,
    file: line.file,
    line: line.line,
    function: line.function,
    package: null,
    confidence: Math.min(PROFILE_ALONE_MAX, line.share),
  };
}

const placeOf = (at: { file: string; line: number; function: string | null }): string =>
  `${at.function === null ? '' : `${at.function} `}${at.file}:${at.line}`;

/** Paths may be relative on one side: the tails are compared. */
function agree(culprit: Culprit, line: ProfileLine): boolean {
  const tail = (path: string): string => path.split(/[\\/]/).slice(-2).join('/');
  if (culprit.file === null || tail(culprit.file) !== tail(line.file)) return false;
  if (culprit.function !== null && culprit.function === line.function) return true;
  const below = (culprit.line ?? 0) - line.line;
  return below >= 0 && below <= NEAR_LINES;
}
