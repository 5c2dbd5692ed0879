/** The generated parts of README.md, docs/configuration.md and docs/leaks, filled in between their markers. */
import { KINDS, ALL_KINDS, type Kind, type KindSpec, type Threshold } from '../../src/kinds/index.ts';
import { formatBytes, formatCount, formatDuration, formatShare } from '../../src/core/format.ts';
import { buildReport } from '../../src/report/report.ts';
import { alertText } from '../../src/report/report-text.ts';
import { sampleAlert } from './sample-alerts.ts';

export type Blocks = Readonly<Record<string, string>>;

const MARKED = /<!-- generated:([\w-]+) -->\n[^]*?<!-- \/generated -->/g;

/** Replaces the text between `<!-- generated:name -->` and `<!-- /generated -->`; each block must have its place. */
export function fillBlocks(page: string, blocks: Blocks): string {
  const missing = new Set(Object.keys(blocks));
  const text = page.replace(MARKED, (_, name: string) => {
    const block = blocks[name];
    if (block === undefined) throw new Error(`no generated block is called ${name}`);
    missing.delete(name);
    return `<!-- generated:${name} -->\n${block.trim()}\n<!-- /generated -->`;
  });
  if (missing.size > 0) throw new Error(`no marker for ${[...missing].join(', ')}`);
  return text;
}

const capitalise = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');

/** `at least 10 entries`, `less than 4 h`. */
export function limitText({ is, value, unit }: Threshold): string {
  return `${is} ${amount(value, unit)}`;
}

function amount(value: number, unit: string): string {
  if (unit === '%') return formatShare(value);
  if (unit === 'ms') return formatDuration(value);
  if (unit === 'By') return formatBytes(value);
  if (unit === 'By/h') return `${formatBytes(value)}/h`;
  return unit === '1' ? formatCount(value) : `${formatCount(value)} ${unit}`;
}

const SOURCES: Readonly<Record<Threshold['source']['from'], string>> = {
  measurement: 'measured: ',
  traces: 'recorded runs: ',
  page: '',
};

/** One row for each quantity; warning and critical limits of the same quantity share it. */
function thresholdTable({ thresholds }: KindSpec): string {
  const rows = new Map<string, { warning: string; critical: string; source: string }>();
  for (const threshold of Object.values<Threshold>(thresholds)) {
    const { label, severity, source } = threshold;
    const row = rows.get(label) ?? { warning: '', critical: '', source: '' };
    row[severity] = limitText(threshold);
    if (row.source === '') row.source = `${SOURCES[source.from]}${source.text}`;
    rows.set(label, row);
  }
  return table(
    ['number', 'warning', 'critical', 'where it comes from'],
    [...rows].map(([label, { warning, critical, source }]) => [label, warning, critical, linked(source)]),
  );
}

/** Pages are linked as seen from docs/leaks. */
const linked = (text: string): string =>
  text.replace(/docs\/([\w-]+)\.md/g, (_, page: string) => `[${page}](../${page}.md)`);

/** The generated blocks of docs/leaks/<kind>.md. */
export function leakBlocks(kind: Kind): Blocks {
  const spec: KindSpec = KINDS[kind];
  const { advice, window, retainedBy } = spec;
  const { alert, origin } = sampleAlert(kind);
  const report = buildReport({ alert, points: [], analysis: null, dir: '/srv/chat/.wsguard' });
  return {
    summary: [
      `**${capitalise(spec.summary)}.**`,
      `${spec.family === 'leak' ? 'A leak' : 'A condition, not a leak'}. ${detectorText(spec)}`,
    ].join('\n\n'),
    thresholds: [thresholdTable(spec), ...(window === null ? [] : [window.text])].join('\n\n'),
    alert: `The first part of \`report.txt\`, from ${origin}:\n\n\`\`\`text\n${alertText(report)}\`\`\``,
    advice: [
      `**Tonight.** ${advice.now}`,
      `**Then.** ${advice.fix}`,
      ...(advice.restart === null ? [] : [`**A restart.** ${advice.restart}`]),
      ...(retainedBy === null ? [] : [`**Usual root cause.** ${capitalise(retainedBy.text)}.`]),
    ].join('\n\n'),
  };
}

const detectorText = ({ detector }: KindSpec): string =>
  detector === null
    ? 'It is an event, so no detector in `agent.status()` lists it.'
    : `\`agent.status()\` shows the answer of its detector as \`${detector}\`.`;

/** README's table of kinds. */
export const kindTable = (): string =>
  (['leak', 'condition'] as const)
    .map((family) =>
      table(
        [family === 'leak' ? 'kind of leak' : 'condition', 'what it means'],
        ALL_KINDS.filter((kind) => KINDS[kind].family === family).map((kind) => [
          `[\`${kind}\`](${KINDS[kind].docs})`,
          KINDS[kind].summary,
        ]),
      ),
    )
    .join('\n\n');
