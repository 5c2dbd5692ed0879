/** A report for people, at most 110 columns where the words allow it. */
import type { Alert, Report, ReportPoint, Snapshot } from '../types/index.ts';
import { adviceOf } from './advice.ts';
import { analysisText } from './analysis.ts';
import { formatBytes, formatCount, formatDuration, formatValue } from '../core/format.ts';

const MAX_ROWS = 12;

export function reportText(report: Report): string {
  const { alert } = report;
  const parts = [
    report.headline.join('\n'),
    section('Evidence', alert.evidence.map(evidenceLine)),
    section('What else it could be, and why it is not', because(alert.against)),
    section('Also seen', because(alert.also)),
    section('What the snapshots say', analysisLines(report)),
    section('Memory and connections', pointTable(report.samples)),
    section('Snapshots', alert.snapshots.map(snapshotLine)),
    section('The fix', [adviceOf(alert.kind).fix, `Read ${alert.docs} in the folder of @wsguard/agent`]),
    section('Notes', report.notes),
    section('Process', identityLines(alert)),
  ];
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`;
}

const section = (title: string, lines: readonly string[]): string =>
  lines.length === 0 ? '' : `${title}\n${lines.map((line) => `  ${line}`.trimEnd()).join('\n')}`;

function evidenceLine({ name, value, unit, threshold, windowMs }: Alert['evidence'][number]): string {
  const over = threshold === undefined ? '' : ` (threshold ${formatValue(threshold, unit)})`;
  const window = windowMs === undefined ? '' : ` over ${formatDuration(windowMs)}`;
  return `${name}: ${formatValue(value, unit)}${over}${window}`;
}

const because = (reasons: Alert['against']): string[] =>
  reasons.map((reason) => `${reason.kind}: ${reason.because}`);

const analysisLines = ({ analysis }: Report): string[] =>
  analysis === null ? [] : withoutGaps(analysisText(analysis).trimEnd().split('\n'));

const withoutGaps = (lines: readonly string[]): string[] =>
  lines.filter((line, i) => line !== '' || lines[i - 1] !== '');

function snapshotLine(snapshot: Snapshot): string {
  if (snapshot.outcome === 'written') {
    const { file, bytes, method, pauseMs, redacted } = snapshot;
    const how = `${method}, server stopped ${formatDuration(pauseMs)}`;
    return `${file}: ${formatBytes(bytes)}, ${how}, ${redacted ? 'redacted' : 'not redacted'}`;
  }
  if (snapshot.outcome === 'failed') return `failed: ${snapshot.code}, ${snapshot.reason}`;
  const { reason, needBytes, haveBytes } = snapshot;
  const bytes =
    needBytes === undefined || haveBytes === undefined
      ? ''
      : ` (needs ${formatBytes(needBytes)}, has ${formatBytes(haveBytes)})`;
  return `refused: ${reason}${bytes}`;
}

const COLUMNS: readonly (readonly [string, (point: ReportPoint) => string])[] = [
  ['UTC', ({ wallMs }) => new Date(wallMs).toISOString().slice(11, 19)],
  ['heap', ({ heapUsedBytes }) => formatBytes(heapUsedBytes)],
  ['floor', ({ floorBytes }) => (floorBytes === null ? '-' : formatBytes(floorBytes))],
  ['rss', ({ rssBytes }) => formatBytes(rssBytes)],
  ['external', ({ externalBytes }) => formatBytes(externalBytes)],
  ['connections', ({ connections }) => formatCount(connections)],
  ['unanswering', ({ unanswering }) => formatCount(unanswering)],
];

function pointTable(points: readonly ReportPoint[]): string[] {
  if (points.length === 0) return [];
  const step = Math.max(1, Math.ceil((points.length - 1) / (MAX_ROWS - 1)));
  const chosen = points.filter((_, i) => i % step === 0 || i === points.length - 1);
  const rows = [
    COLUMNS.map(([title]) => title),
    ...chosen.map((point) => COLUMNS.map(([, read]) => read(point))),
  ];
  const widths = COLUMNS.map((_, i) => Math.max(...rows.map((cells) => cells[i]?.length ?? 0)));
  return rows.map((cells) => cells.map((cell, i) => cell.padStart(widths[i] ?? 0)).join('  '));
}

function identityLines(alert: Alert): string[] {
  const version = alert.serviceVersion === null ? '' : ` ${alert.serviceVersion}`;
  const worker = alert.worker === null ? '' : `, cluster worker ${alert.worker}`;
  return [
    `${alert.service}${version}, instance ${alert.instance}, pid ${alert.pid} on ${alert.host}${worker}`,
    `up ${formatDuration(alert.uptimeMs)} at ${alert.at}; Node ${alert.nodeVersion}, agent ${alert.agentVersion}`,
    `alert ${alert.id}, fingerprint ${alert.fingerprint} (to mute it: WSGUARD_MUTE=${alert.fingerprint}:<date>)`,
  ];
}
