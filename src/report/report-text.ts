/** The report as plain text (report.txt), without colours and readable in a terminal of 110 columns. */
import type { Alert, Report, ReportPoint, Snapshot } from '../types/index.ts';
import { adviceOf, KINDS } from '../kinds/index.ts';
import { analysisText } from './analysis-text.ts';
import { formatBytes, formatCount, formatDuration, formatShare, formatValue } from '../core/format.ts';
import { refusalText, writtenText } from './snapshot-text.ts';

const MAX_ROWS = 12;

export function reportText(report: Report): string {
  const { alert } = report;
  const { fix } = adviceOf(alert);
  return join([
    alertText(report),
    section('How to fix it', [
      ...usualCause(alert),
      fix,
      `Details: ${alert.docs} in the folder of @wsguard/agent`,
    ]),
    section('Heap snapshots', alert.snapshots.map(snapshotLine)),
    section('Analysis of the snapshots', analysisLines(report)),
    section('Memory and connections (UTC)', pointTable(report.samples)),
    section('Notes', report.notes),
    section('Process', identityLines(alert)),
  ]);
}

/** The first part of report.txt: the headline, and the numbers of the alert. The pages in docs/leaks show it. */
export const alertText = ({ headline, alert }: Report): string =>
  join([
    headline.join('\n'),
    section('Evidence', alert.evidence.map(evidenceLine)),
    section('Ruled out', reasonLines(alert.against)),
    section('Also detected', alsoLines(alert)),
  ]);

const join = (parts: readonly string[]): string =>
  `${parts
    .filter((part) => part !== '')
    .map((part) => part.trimEnd())
    .join('\n\n')}\n`;

const section = (title: string, lines: readonly string[]): string =>
  lines.length === 0 ? '' : `${title}\n${lines.map((line) => `  ${line}`.trimEnd()).join('\n')}`;

/** The value of an evidence row. The leak of a window leaves out all entries that late cleanup may still remove. */
export const evidenceValue = ({ name, value, unit }: Alert['evidence'][number]): string =>
  `${name === 'leaked_in_window' ? 'at least ' : ''}${evidenceNumber(name, value, unit)}`;

/** A share and a pressure are parts of 1, which UCUM gives no unit. Also for the threshold of a row. */
export const evidenceNumber = (name: string, value: number, unit: string): string =>
  unit === '1' && /_(share|pressure)$/.test(name) ? formatShare(value) : formatValue(value, unit);

function evidenceLine(evidence: Alert['evidence'][number]): string {
  const { name, unit, threshold, windowMs } = evidence;
  const limit = threshold === undefined ? '' : ` (threshold ${evidenceNumber(name, threshold, unit)})`;
  const window = windowMs === undefined ? '' : ` over ${formatDuration(windowMs)}`;
  return `${name}: ${evidenceValue(evidence)}${limit}${window}`;
}

const DAY_MS = 24 * 3_600_000;

/** `WSGUARD_MUTE=61b250a0da0f2809:2026-11-23T02:16:00Z`, to be pasted. */
export function muteSetting({ fingerprint, at }: Alert): string {
  const until = new Date(Date.parse(at) + DAY_MS).toISOString().replace(/:\d\d\.\d+Z$/, ':00Z');
  return `WSGUARD_MUTE=${fingerprint}:${until}`;
}

const reasonLines = (reasons: Alert['against']): string[] =>
  reasons.map(({ kind, because }) => `${kind}: ${because}`);

const alsoLines = ({ also, alsoMore = 0 }: Alert): string[] => [
  ...reasonLines(also),
  ...(alsoMore === 0 ? [] : [`and ${alsoMore} more`]),
];

/** One empty line between blocks at most. */
function analysisLines({ analysis }: Report): string[] {
  if (analysis === null) return [];
  const lines = analysisText(analysis).trimEnd().split('\n');
  return lines.filter((line, index) => line !== '' || lines[index - 1] !== '');
}

const usualCause = ({ kind, culprit }: Alert): string[] => {
  const { retainedBy } = KINDS[kind];
  return culprit !== null || retainedBy === null ? [] : [`Usual root cause: ${retainedBy.text}`];
};

function snapshotLine(snapshot: Snapshot): string {
  if (snapshot.outcome === 'written') return `${snapshot.file}: ${writtenText(snapshot)}`;
  if (snapshot.outcome === 'failed') return `failed (${snapshot.code}): ${snapshot.reason}`;
  return `refused: ${refusalText(snapshot)}`;
}

const COLUMNS: readonly (readonly [string, (point: ReportPoint) => string])[] = [
  ['time', ({ wallMs }) => new Date(wallMs).toISOString().slice(11, 19)],
  ['heap used', ({ heapUsedBytes }) => formatBytes(heapUsedBytes)],
  ['post-GC heap', ({ floorBytes }) => (floorBytes === null ? '-' : formatBytes(floorBytes))],
  ['rss', ({ rssBytes }) => formatBytes(rssBytes)],
  ['external', ({ externalBytes }) => formatBytes(externalBytes)],
  ['connections', ({ connections }) => formatCount(connections)],
  ['unresponsive', ({ unanswering }) => formatCount(unanswering)],
];

function pointTable(points: readonly ReportPoint[]): string[] {
  if (points.length === 0) return [];
  const step = Math.max(1, Math.ceil((points.length - 1) / (MAX_ROWS - 1)));
  const shown = points.filter((_, index) => index % step === 0 || index === points.length - 1);
  const rows = [
    COLUMNS.map(([title]) => title),
    ...shown.map((point) => COLUMNS.map(([, cellOf]) => cellOf(point))),
  ];
  const widths = COLUMNS.map((_, column) => Math.max(...rows.map((cells) => cells[column]!.length)));
  return rows.map((cells) => cells.map((cell, column) => cell.padStart(widths[column]!)).join('  '));
}

function identityLines(alert: Alert): string[] {
  const version = alert.serviceVersion === null ? '' : ` ${alert.serviceVersion}`;
  const worker = alert.worker === null ? '' : `, cluster worker ${alert.worker}`;
  return [
    `${alert.service}${version}, instance ${alert.instance}, pid ${alert.pid} on ${alert.host}${worker}`,
    `up ${formatDuration(alert.uptimeMs)} at ${alert.at}; Node ${alert.nodeVersion}, agent ${alert.agentVersion}`,
    `alert ${alert.id}, fingerprint ${alert.fingerprint} (to mute it for a day, restart with ${muteSetting(alert)})`,
  ];
}
