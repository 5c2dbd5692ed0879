/** The result of an analysis as text: printed by `wsguard analyse`, and part of report.txt. */
import type { Analysis, Holder, SourceLocation, Suspect } from '../types/index.ts';
import { formatBytes, formatCount, formatShare, formatSpot } from '../core/format.ts';
import { connectionSentences, growthPerConnection } from './connection-counts.ts';
import { retainingPathLines, sharedBytesText } from './retaining-path.ts';

const MAX_SUSPECTS = 10;

export function analysisText(analysis: Analysis): string {
  const { snapshots, suspects, holders } = analysis;
  const lines = [
    ...snapshots.map(
      ({ file, nodes, selfBytes }) => `${file}: ${formatCount(nodes)} objects, ${formatBytes(selfBytes)}`,
    ),
    '',
    analysis.because,
    ...connectionSentences(analysis).map((sentence) => `${sentence}.`),
  ];
  for (const suspect of suspects.slice(0, MAX_SUSPECTS)) lines.push('', ...suspectLines(suspect, analysis));
  if (suspects.length > MAX_SUSPECTS) {
    lines.push('', `${suspects.length - MAX_SUSPECTS} more suspects: see --json`);
  }
  if (holders.length > 0) lines.push('', 'Largest retainers', ...holders.map(holderLine));
  lines.push(...externalLines(analysis));
  return `${lines.join('\n')}\n`;
}

function suspectLines(suspect: Suspect, analysis: Analysis): string[] {
  const { rank, name, type, path, location, growth, containers, entries, example } = suspect;
  const { through, maker, objects, retainedBytes, steps, otherRetainers, shared, known, notes, confidence } =
    suspect;
  const count = growth === null ? formatCount(objects) : `+${formatCount(growth.objects)}`;
  const group = containers > 1 ? `, in ${formatCount(containers)} containers of the same kind` : '';
  const perConnection = growthPerConnection(suspect, analysis);
  const fields = example.map((field) => `${field.name}: ${field.is}`).join(', ');
  return [
    `${rank}. ${name} (${type}): ${count} ${entries}, ${formatBytes(retainedBytes)} retained${group}`,
    `   code: ${location === null ? 'unknown' : locationText(location)}`,
    ...(through === undefined ? [] : [`   through: ${locationText(through)}`]),
    `   path: ${path.join('')}`,
    ...(maker === undefined ? [] : [`   entries created at: ${locationText(maker)}`]),
    ...(fields === '' ? [] : [`   example entry: { ${fields} }`]),
    ...(perConnection === null ? [] : [`   ${perConnection}`]),
    ...retainingPathLines(steps),
    ...(otherRetainers.length === 0
      ? []
      : [
          `   also retained by ${otherRetainers.join('; ')}: memory is freed only when all of them release it`,
        ]),
    ...shared.map((part) => `   ${sharedBytesText(part)}`),
    ...(known === null ? [] : [`   known leak of ${known.package} ${known.range}: ${known.advice}`]),
    ...notes.map((note) => `   ${note}`),
    `   confidence: ${formatShare(confidence)}`,
  ];
}

function locationText(location: SourceLocation): string {
  const { function: functionName, package: packageName } = location;
  return `${formatSpot(location)}${functionName === null ? '' : ` ${functionName}`}${packageName ? ` (${packageName})` : ''}`;
}

function holderLine({ name, type, path, location, objects, retainedBytes, share }: Holder): string {
  const code = location === null ? '' : `, code: ${locationText(location)}`;
  return (
    `  ${formatBytes(retainedBytes)} (${formatShare(share)}) ${name} (${type}), ` +
    `${formatCount(objects)} entries, path: ${path.join('')}${code}`
  );
}

function externalLines({ external }: Analysis): string[] {
  if (external.length === 0) return [];
  const rows = external.map(({ name, objects, bytes, growth }) => {
    const noun = objects === 1 ? 'object' : 'objects';
    const newObjects = growth === null ? '' : ` (${signed(growth.objects, formatCount)})`;
    const newBytes = growth === null ? '' : ` (${signed(growth.bytes, formatBytes)})`;
    return `  ${name}: ${formatCount(objects)} ${noun}${newObjects}, ${formatBytes(bytes)}${newBytes}`;
  });
  return ['', 'Outside the JavaScript heap', ...rows];
}

const signed = (value: number, format: (value: number) => string): string =>
  `${value > 0 ? '+' : ''}${format(value)}`;
