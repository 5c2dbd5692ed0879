/** What an analysis found, for people at a terminal. */
import type { Analysis, Holder, SourceLocation, Suspect } from '../types/index.ts';
import { formatBytes, formatCount, formatSpot } from '../core/format.ts';
import { besideConnections, connectionLines, heldLines, sharedText } from './held.ts';

const MOST_SHOWN = 10;

export function analysisText(analysis: Analysis): string {
  const { snapshots, suspects, holders } = analysis;
  const lines = snapshots.map(
    ({ file, nodes, selfBytes }) => `${file}: ${formatCount(nodes)} objects, ${formatBytes(selfBytes)}`,
  );
  lines.push('', analysis.because);
  lines.push(...connectionLines(analysis));
  for (const suspect of suspects.slice(0, MOST_SHOWN)) lines.push('', ...suspectLines(suspect, analysis));
  if (suspects.length > MOST_SHOWN) {
    lines.push('', `and ${suspects.length - MOST_SHOWN} more (--json lists them)`);
  }
  if (holders.length > 0) lines.push('', 'What holds the memory', ...holders.map(holderLine));
  lines.push(...externalLines(analysis));
  return `${lines.join('\n')}\n`;
}

function suspectLines(suspect: Suspect, analysis: Analysis): string[] {
  const { rank, name, path, location, growth, containers, entries, otherRetainers, notes, known } = suspect;
  const gained = growth === null ? formatCount(suspect.objects) : `+${formatCount(growth.objects)}`;
  const like = containers > 1 ? `, in ${formatCount(containers)} like containers` : '';
  const lines = [
    `${rank}. ${name} (${suspect.type}): ${gained} ${entries}, ${formatBytes(suspect.retainedBytes)}${like}`,
    `   at   ${location === null ? 'no line known' : locationText(location)}`,
    `   path ${path.join('')}`,
  ];
  if (suspect.maker !== undefined) lines.push(`   made ${locationText(suspect.maker)}`);
  if (suspect.example.length > 0) {
    const fields = suspect.example.map((field) => `${field.name}: ${field.is}`);
    lines.push(`   like { ${fields.join(', ')} }`);
  }
  const beside = besideConnections(suspect, analysis);
  if (beside !== null) lines.push(`   ${beside}`);
  lines.push(...heldLines(suspect.steps));
  if (otherRetainers.length > 0) {
    lines.push(`   also held by ${otherRetainers.join('; ')}: freeing one of them frees nothing`);
  }
  lines.push(...suspect.shared.map((shared) => `   ${sharedText(shared)}`));
  if (known !== null) lines.push(`   known leak of ${known.package} ${known.range}: ${known.advice}`);
  lines.push(...notes.map((note) => `   ${note}`));
  lines.push(`   confidence ${Math.round(suspect.confidence * 100)} %`);
  return lines;
}

export function locationText(location: SourceLocation): string {
  const { function: name, package: from } = location;
  return `${formatSpot(location)}${name === null ? '' : ` ${name}`}${from ? ` (${from})` : ''}`;
}

function holderLine({ name, type, path, location, objects, retainedBytes, share }: Holder): string {
  const where = location === null ? '' : ` at ${locationText(location)}`;
  return (
    `  ${formatBytes(retainedBytes)} (${Math.round(share * 100)} %) ${name} (${type}), ` +
    `${formatCount(objects)} entries, ${path.join('')}${where}`
  );
}

function externalLines({ external }: Analysis): string[] {
  if (external.length === 0) return [];
  const rows = external.map(({ name, objects, bytes, growth }) => {
    const grew = growth === null ? '' : `, +${formatCount(growth.objects)} and +${formatBytes(growth.bytes)}`;
    return `  ${name}: ${formatCount(objects)}, ${formatBytes(bytes)}${grew}`;
  });
  return ['', 'Outside the JavaScript heap', ...rows];
}
