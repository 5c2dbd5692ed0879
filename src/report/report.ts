/** Builds the report of one alert. Its headline answers five questions: what, how long, restart or not, what now, which file. */
import type { Alert, Analysis, Report, ReportPoint } from '../types/index.ts';
import { adviceOf, capturesEvidence, KINDS } from '../kinds/index.ts';
import { formatBytes, formatDuration, formatLimit, formatTimeToLimit } from '../core/format.ts';
import { redactionText, refusalText } from './snapshot-text.ts';

export interface ReportInput {
  readonly alert: Alert;
  readonly points: readonly ReportPoint[];
  readonly analysis: Analysis | null;
  /** Absolute, so that the commands in the report can be pasted. */
  readonly dir: string;
  readonly notes?: readonly string[];
}

/** An hour at one sample each 15 s; a chart 480 px wide shows no more. */
const MAX_POINTS = 240;

export function buildReport({ alert, points, analysis, dir, notes = [] }: ReportInput): Report {
  return {
    schema: 'wsguard.report/1',
    alert,
    headline: [
      `What: ${whatHappened(alert)}`,
      `Time left: ${timeLeft(alert)}`,
      `After a restart: ${effectOfRestart(alert)}`,
      `Now: ${adviceOf(alert).now}`,
      `File: ${fileToCopy(alert, dir)}`,
    ],
    samples: thinOut(points),
    analysis,
    notes: [...timeScaleNote(alert), ...notes],
  };
}

function whatHappened(alert: Alert): string {
  const { title, kind, severity, culprit, culpritBecause } = alert;
  if (alert.event === 'closed') return `${title} (${kind}). Closed: ${alert.because ?? 'no longer detected'}`;
  // Nothing searches for the root cause of a condition that captures no evidence.
  const rootCause = culprit?.text ?? (capturesEvidence(kind) ? culpritBecause : undefined);
  return `${title} (${kind}, ${severity})${rootCause === undefined ? '' : `. Root cause: ${rootCause}`}`;
}

function timeLeft({ kind, timeToLimit, family }: Alert): string {
  if (kind === 'process-died') return 'none, because the previous process has ended';
  if (timeToLimit === null) {
    return family === 'leak'
      ? 'no estimate: memory does not grow towards a limit, or there were too few major GCs to measure its growth'
      : 'memory does not grow towards a limit';
  }
  return `the process reaches ${formatLimit(timeToLimit.limit)} ${formatTimeToLimit(timeToLimit)}`;
}

/** After a restart the same growth starts again from zero, so it takes as long as the process has been up. */
function effectOfRestart({ kind, uptimeMs, timeToLimit }: Alert): string {
  const { restart } = KINDS[kind].advice;
  if (restart !== null) return restart;
  const limit =
    timeToLimit === null ? '' : `, and the memory limit after ${formatDuration(uptimeMs + timeToLimit.ms)}`;
  return `at the same load the process is back at this point after ${formatDuration(uptimeMs)}${limit}`;
}

function fileToCopy({ snapshots, host, id }: Alert, dir: string): string {
  const written = snapshots.filter((snapshot) => snapshot.outcome === 'written');
  const last = written.at(-1);
  if (last !== undefined) {
    const count = written.length > 1 ? `the last of ${written.length} snapshots, ` : '';
    const name = last.file.split(/[\\/]/).at(-1);
    // On a machine without the package, `npx wsguard` would run another package of that name.
    const command = `npx -p @wsguard/agent wsguard analyse ${name}`;
    return `scp ${host}:${last.file} . (${count}${formatBytes(last.bytes)}, ${redactionText(last.redacted)}); then ${command}`;
  }
  return `${whyNoSnapshot({ snapshots })}. Report: ${dir}/${id}/report.json on ${host}`;
}

function whyNoSnapshot({ snapshots }: Pick<Alert, 'snapshots'>): string {
  const last = snapshots.at(-1);
  if (last?.outcome === 'failed') return `snapshot failed (${last.code}): ${last.reason}`;
  return last?.outcome === 'refused' ? `snapshot refused: ${refusalText(last)}` : 'no snapshot';
}

const timeScaleNote = ({ timeScale }: Alert): string[] =>
  timeScale === undefined || timeScale === 1
    ? []
    : [
        `WSGUARD_TIME_SCALE is ${timeScale}: windows and rates per hour are scaled; the time left and all timestamps are real.`,
      ];

/** Keeps the first and the last point and an even selection between them. */
function thinOut(points: readonly ReportPoint[]): readonly ReportPoint[] {
  if (points.length <= MAX_POINTS) return points;
  const step = (points.length - 1) / (MAX_POINTS - 1);
  return Array.from({ length: MAX_POINTS }, (_, index) => points[Math.round(index * step)]!);
}
