/** The page of `wsguard analyse --html`: the result of an analysis without an alert. */
import type { Analysis, Suspect } from '../../types/index.ts';
import { formatBytes, formatCount } from '../../core/format.ts';
import { connectionSentences, snapshotTimeMs } from '../connection-counts.ts';
import { chartSection, drawChart } from './chart.ts';
import { markup } from './markup.ts';
import type { Markup } from './markup.ts';
import { analysisCommands } from './next-steps.ts';
import { page } from './page.ts';
import { classTable, holderTable, suspectCard, suspectTable } from './suspects.ts';

export function analysisHtml(analysis: Analysis): string {
  const [first] = analysis.suspects;
  const { pill, tone, title, cardTitle } = summaryOf(analysis);
  const body = markup`<header>
      <span class="pill ${tone}">${pill}</span>
      <h1>${title}</h1>
      <p>${analysis.because}</p>
      ${connectionSentences(analysis).map((sentence) => markup`<p class="soft">${sentence}.</p>`)}
    </header>
    ${first === undefined ? null : markup`<h2>${cardTitle}</h2>${suspectCard(first, analysis)}`}
    <h2>Snapshots</h2>
    ${snapshotTable(analysis)} ${snapshotCharts(analysis)} ${analysisTables(analysis, first ?? null)}
    <h2>Inspect the snapshots yourself</h2>
    ${analysisCommands(analysis.snapshots.map(({ file }) => file))}`;
  return page(title, body);
}

interface Summary {
  readonly pill: string;
  readonly tone: '' | 'critical' | 'clean';
  readonly title: string;
  readonly cardTitle: string;
}

/** A single snapshot shows neither growth nor its absence, so it is never called leaking or clean. */
function summaryOf({ snapshots, suspects, clean }: Analysis): Summary {
  const [first] = suspects;
  if (snapshots.length === 1)
    return { pill: 'one snapshot', tone: '', title: 'Largest retainers', cardTitle: 'Main suspect' };
  if (first !== undefined)
    return {
      pill: 'leak found',
      tone: 'critical',
      title: `${first.name} keeps growing`,
      cardTitle: 'Root cause',
    };
  return clean
    ? { pill: 'no leak found', tone: 'clean', title: 'Nothing grows', cardTitle: '' }
    : { pill: `${snapshots.length} snapshots`, tone: '', title: 'No suspect found', cardTitle: '' };
}

/** The tables that a report and the page of an analysis share. `shown` already has a card of its own. */
export function analysisTables(analysis: Analysis, shown: Suspect | null): Markup {
  return markup`${suspectTable(analysis.suspects.filter((suspect) => suspect !== shown))} ${holderTable(analysis.holders)}
  ${classTable('Classes', 'classes', analysis.classes)}
  ${classTable('Outside the JavaScript heap', 'external', analysis.external)}`;
}

/** Only the file names of the agent give the time of a snapshot; without times there is no chart. */
function snapshotCharts({ snapshots }: Analysis): Markup | null {
  const wallMs = snapshots.map(({ file }) => snapshotTimeMs(file));
  if (wallMs.some((ms, index) => Number.isNaN(ms) || ms <= (wallMs[index - 1] ?? 0))) return null;
  const bytes = snapshots.map(({ selfBytes }) => selfBytes);
  const objects = snapshots.map(({ nodes }) => nodes);
  return chartSection('Growth between the snapshots', [
    drawChart({
      title: 'Heap',
      unit: 'bytes',
      wallMs,
      lines: [{ name: 'live bytes', tone: 'one', values: bytes }],
    }),
    drawChart({
      title: 'Objects',
      unit: 'count',
      wallMs,
      lines: [{ name: 'live objects', tone: 'two', values: objects }],
    }),
  ]);
}

function snapshotTable({ snapshots }: Analysis): Markup {
  return markup`<div class="scroll">
    <table>
      <thead><tr><th>File</th><th class="number">Objects</th><th class="number">References</th><th class="number">Bytes</th></tr></thead>
      <tbody>
        ${snapshots.map(
          ({ file, nodes, edges, selfBytes }) =>
            markup`<tr><td class="name"><code>${file}</code></td><td class="number">${formatCount(nodes)}</td><td class="number">${formatCount(edges)}</td><td class="number">${formatBytes(selfBytes)}</td></tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}
