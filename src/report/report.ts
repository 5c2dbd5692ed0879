/** The story of one alert. Its headline answers, in five lines, what an engineer asks at 02:00. */
import type { Alert, Analysis, Report, ReportPoint, Snapshot } from '../types/index.ts';
import { adviceOf } from './advice.ts';
import { formatBytes, formatDuration, formatTimeToLimit } from '../core/format.ts';

export interface ReportInput {
  readonly alert: Alert;
  readonly points: readonly ReportPoint[];
  readonly analysis: Analysis | null;
  /** Absolute, so that the commands in the report can be pasted. */
  readonly dir: string;
  readonly notes?: readonly string[];
}

const MAX_POINTS = 240;

export function buildReport({ alert, points, analysis, dir, notes = [] }: ReportInput): Report {
  return {
    schema: 'wsguard.report/1',
    alert,
    headline: [
      `What: ${whatLeaks(alert)}`,
      `Time left: ${timeLeft(alert)}`,
      `Restart: ${restartBuys(alert)}`,
      `Now: ${adviceOf(alert.kind).now}`,
      `File: ${howToGet(alert, dir)}`,
    ],
    samples: thin(points),
    analysis,
    notes: [...scaleNote(alert), ...notes],
  };
}

function whatLeaks(alert: Alert): string {
  if (alert.event === 'closed')
    return `${alert.title} (${alert.kind}); closed: ${alert.because ?? 'no longer so'}`;
  const culprit =
    alert.culprit === null ? (alert.culpritBecause ?? 'holder not known yet') : alert.culprit.text;
  return `${alert.title} (${alert.kind}, ${alert.severity}); ${culprit}`;
}

function timeLeft({ timeToLimit, family }: Alert): string {
  if (timeToLimit === null) {
    return family === 'leak'
      ? 'no estimate: memory does not climb towards a limit, or too few collections have shown where it goes'
      : 'no growth towards a memory limit was seen';
  }
  // From 85 % on V8 collects more than it serves; the kernel kills at the limit itself.
  const limit =
    timeToLimit.limit === 'heap' ? "85 % of V8's heap limit" : 'the memory limit of the container';
  return `${limit} ${formatTimeToLimit(timeToLimit)}`;
}

/** After a restart the same growth starts from nothing: it buys the time it took to come here. */
function restartBuys(alert: Alert): string {
  const { restart } = adviceOf(alert.kind);
  if (restart !== null) return restart;
  const grew = formatDuration(alert.uptimeMs);
  const left = alert.timeToLimit;
  const whole = left === null ? '' : `, ${formatDuration(alert.uptimeMs + left.ms)} until the limit`;
  return `buys about ${grew} at the same load until it stands here again${whole}`;
}

function howToGet(alert: Alert, dir: string): string {
  const written = alert.snapshots.filter((snapshot) => snapshot.outcome === 'written');
  const last = written.at(-1);
  if (last !== undefined) {
    const count = written.length > 1 ? `the last of ${written.length} snapshots, ` : '';
    const secrets = last.redacted ? 'redacted' : 'NOT redacted: it holds secrets';
    return `scp ${alert.host}:${last.file} . (${count}${formatBytes(last.bytes)}, ${secrets}; then npx wsguard analyse)`;
  }
  const report = `${dir}/${alert.id}/report.json on ${alert.host}`;
  const refusal = alert.snapshots.at(-1);
  return refusal === undefined ? `no snapshot yet; ${report}` : `${noSnapshot(refusal)}; ${report}`;
}

function noSnapshot(snapshot: Snapshot): string {
  if (snapshot.outcome === 'failed') return `the snapshot failed (${snapshot.code}: ${snapshot.reason})`;
  if (snapshot.outcome === 'written') return snapshot.file;
  const { reason, needBytes, haveBytes } = snapshot;
  const need = needBytes === undefined ? '' : `, needs ${formatBytes(needBytes)}`;
  const have = haveBytes === undefined ? '' : `, has ${formatBytes(haveBytes)}`;
  return `no snapshot: refused, ${reason}${need}${have}`;
}

const scaleNote = ({ timeScale }: Alert): string[] =>
  timeScale === undefined || timeScale === 1
    ? []
    : [
        `Time scale ${timeScale}: windows and rates per hour are scaled; the time left and all timestamps are real.`,
      ];

/** Keeps the first, the last and an even choice between. */
function thin(points: readonly ReportPoint[]): readonly ReportPoint[] {
  if (points.length <= MAX_POINTS) return points;
  const step = (points.length - 1) / (MAX_POINTS - 1);
  return Array.from({ length: MAX_POINTS }, (_, i) => points[Math.round(i * step)]).filter(
    (point) => point !== undefined,
  );
}
