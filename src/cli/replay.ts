/** `wsguard replay`: runs the detectors over recorded samples, on the clock of the recording. */
import { SCHEMA } from '../config/schema.ts';
import { createClock } from '../core/clock.ts';
import { formatCount, formatTimeToLimit } from '../core/format.ts';
import { quantile } from '../detect/statistics.ts';
import { createDetection, type Detection, type DetectionResult } from '../detection.ts';
import type { Alert, Identity, Sample, StatusVerdict } from '../types/index.ts';
import {
  CliError,
  defineCommand,
  EXIT_CODES,
  FAILED_MEANING,
  UsageError,
  WRONG_USE_MEANING,
  type CliIo,
} from './command.ts';
import { startProgress, type Progress } from './progress.ts';
import { readHistory, type HistoryOptions } from './prometheus-history.ts';
import { openTrace, RECORDING_HINT } from './trace-file.ts';

interface ReplayAlert {
  readonly event: Alert['event'];
  readonly id: string;
  readonly fingerprint: string;
  readonly kind: Alert['kind'];
  readonly family: Alert['family'];
  readonly severity: Alert['severity'];
  readonly tMs: number;
  readonly timeToLimitMs: number | null;
  readonly subject: string;
  readonly title: string;
  readonly evidence: Alert['evidence'];
  readonly against: Alert['against'];
  readonly also: Alert['also'];
  readonly because?: string;
}

export interface Replay {
  readonly schema: 'wsguard.replay/1';
  readonly alerts: readonly ReplayAlert[];
  /** The answer of each detector at the end of the recording. */
  readonly answers: readonly StatusVerdict[];
  readonly timeToLimit: readonly { readonly tMs: number; readonly ms: number }[];
  readonly evaluationMs: { readonly median: number; readonly p99: number };
  readonly samples: number;
  readonly timeScale: number;
  /** Mean time between two samples, in the clock of the recording; null with fewer than two. */
  readonly intervalMs: number | null;
}

const IDENTITY: Identity = {
  service: 'replay',
  serviceVersion: null,
  instance: 'replay',
  host: 'replay',
  pid: 0,
  worker: null,
  agentVersion: 'replay',
  nodeVersion: process.version,
};

export const replay = defineCommand(
  {
    name: 'replay',
    summary: 'Runs the detectors over recorded samples, or over the history in a Prometheus.',
    usage: [
      'replay <recording> [--time-scale <n>] [--signals all|preload] [--memory-limit <bytes>] [--json]',
      'replay --prometheus <url> [--from <time>] [--to <time>] [--selector <labels>] [--json]',
    ],
    details: [
      'A recording is a file with one JSON sample per line, such as box-0.ndjson and box-1.ndjson of the black\nbox in WSGUARD_DIR/<instance>/, or a CSV file. Each of the two files has half of the black box. A process that ends\nnormally removes its black box, so copy it before. A recording may be gzipped, and - reads standard input. The first\nline of a CSV file names its columns: t (ms) and hu or olds (bytes of used heap or old space) are required; rss, ext, ab, opened, closed, clients, unresp,\nlisteners, map, queue, rooms and members add to what the detectors can find.',
      'With --prometheus the samples are the series of the metrics in docs/metrics.md. Without series of the agent, the\ndefault metrics of prom-client are used; they are enough for conditions, not for leaks.',
    ],
    maxPositionals: 1,
    options: {
      'time-scale': {
        type: 'string',
        value: '<n>',
        help: 'WSGUARD_TIME_SCALE of the recording. Default: what the recording says, else 1.',
      },
      signals: {
        type: 'string',
        value: 'all|preload',
        help: 'preload: ignore collections that the application registered. Default: all.',
      },
      'memory-limit': {
        type: 'string',
        value: '<bytes>',
        help: 'Memory limit of the container, if the recording does not have it.',
      },
      prometheus: { type: 'string', value: '<url>', help: 'Read the history of this Prometheus server.' },
      from: {
        type: 'string',
        value: '<time>',
        help: 'First time (ISO 8601 or Unix seconds). Default: 7 days before --to.',
      },
      to: { type: 'string', value: '<time>', help: 'Last time. Default: now.' },
      selector: {
        type: 'string',
        value: '<labels>',
        help: 'Labels that select one process: \'{job="chat",instance="web-3:9464"}\'.',
      },
      json: { type: 'boolean', help: 'Print JSON (docs/schema/replay.schema.json).' },
    },
    examples: [
      [
        'wsguard replay box-0.ndjson',
        'Prints the alerts of a recording, and the answer of each detector at its end.',
      ],
      [
        'sort -t: -k2n box-0.ndjson box-1.ndjson | wsguard replay -',
        'Does the same for a whole black box, whose lines begin with their number.',
      ],
      [
        'wsguard replay --prometheus http://127.0.0.1:9090 --from 2026-11-22T00:00:00Z',
        'Does the same for the history since that time.',
      ],
    ],
    exitCodes: [
      [EXIT_CODES.done, 'done; no leak found'],
      [EXIT_CODES.leakFound, 'an alert of a leak kind opened'],
      WRONG_USE_MEANING,
      FAILED_MEANING,
    ],
  },
  async ({ values, positionals: [file] }, io) => {
    const scale = values['time-scale'];
    const timeScale = scale === undefined ? null : parsePositive(scale, '--time-scale');
    const limit = values['memory-limit'];
    const options = {
      signals: parseSignals(values.signals ?? 'all'),
      memoryLimitBytes: limit === undefined ? null : parsePositive(limit, '--memory-limit'),
    };
    const history = parseHistory(values, createClock().wallMs());
    if (history === null && file === undefined)
      throw new UsageError('give a recording, or --prometheus <url>');
    if (history !== null && file !== undefined)
      throw new UsageError('give either a recording or --prometheus, not both');
    const samples =
      history === null
        ? openTrace(file ?? '-', io, options)
        : readHistory({ ...options, ...history, timeScale: timeScale ?? 1 });
    const result = await replayWithProgress(samples, timeScale, io);
    if (result.samples === 0) throw emptyError(history === null ? 'recording' : 'history');
    if (timeScale === null) io.err(timeScaleHint(result));
    io.out(values.json === true ? `${JSON.stringify(result)}\n` : replayText(result));
    return result.alerts.some(({ family }) => family === 'leak') ? EXIT_CODES.leakFound : EXIT_CODES.done;
  },
);

/** The shortest interval of a process without a time scale is 250 ms, but nobody samples a server so often. */
const MIN_USUAL_INTERVAL_MS = 1_000;

/** Without the time scale a recording of minutes is too short for most detectors, and finds nothing. */
function timeScaleHint({ timeScale, intervalMs }: Replay): string {
  if (timeScale !== 1) return `wsguard replay: the recording was made with the time scale ${timeScale}\n`;
  return intervalMs === null || intervalMs >= MIN_USUAL_INTERVAL_MS
    ? ''
    : `wsguard replay: the samples are ${formatCount(intervalMs)} ms apart. If the recording was made with WSGUARD_TIME_SCALE, repeat the command with --time-scale <n>\n`;
}

const emptyError = (source: 'recording' | 'history'): CliError =>
  source === 'recording'
    ? new CliError('WSGUARD_REPLAY_EMPTY', 'the recording has no sample', RECORDING_HINT)
    : new CliError(
        'WSGUARD_REPLAY_EMPTY',
        'Prometheus has no sample in this time',
        'Check --from, --to and --selector.',
      );

const DEFAULT_RANGE_S = 7 * 24 * 3600;

interface HistoryArguments {
  readonly prometheus?: string;
  readonly from?: string;
  readonly to?: string;
  readonly selector?: string;
}

/** `null` without --prometheus. */
function parseHistory(
  { prometheus, from, to, selector = '' }: HistoryArguments,
  wallMs: number,
): Pick<HistoryOptions, 'url' | 'fromS' | 'toS' | 'selector'> | null {
  if (prometheus === undefined) {
    if (from !== undefined || to !== undefined || selector !== '')
      throw new UsageError('--from, --to and --selector need --prometheus');
    return null;
  }
  if (!URL.canParse(prometheus)) throw new UsageError(`--prometheus takes a URL, not ${prometheus}`);
  const toS = to === undefined ? Math.floor(wallMs / 1000) : parseTime(to, '--to');
  const fromS = from === undefined ? toS - DEFAULT_RANGE_S : parseTime(from, '--from');
  if (!(fromS < toS)) throw new UsageError('--from must be before --to');
  return { url: new URL(prometheus), fromS, toS, selector };
}

/** Unix seconds. */
function parseTime(text: string, option: string): number {
  const seconds = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Date.parse(text) / 1000;
  if (Number.isFinite(seconds)) return seconds;
  throw new UsageError(`${option} takes a time such as 2026-11-22T00:00:00Z or Unix seconds, not ${text}`);
}

function parseSignals(text: string): 'all' | 'preload' {
  if (text !== 'all' && text !== 'preload') throw new UsageError(`--signals is all or preload, not ${text}`);
  return text;
}

function parsePositive(text: string, option: string): number {
  const value = Number(text);
  if (!(value > 0) || !Number.isFinite(value))
    throw new UsageError(`${option} takes a number above 0, not ${text}`);
  return value;
}

async function replayWithProgress(
  samples: AsyncIterable<Sample>,
  timeScale: number | null,
  io: CliIo,
): Promise<Replay> {
  const progress = startProgress(io, 'reading samples');
  try {
    return await replaySamples(countSamples(samples, progress), timeScale);
  } finally {
    progress.stop();
  }
}

async function* countSamples(samples: AsyncIterable<Sample>, progress: Progress): AsyncGenerator<Sample> {
  let count = 0;
  for await (const sample of samples) {
    count += 1;
    progress.update(`${count} samples`);
    yield sample;
  }
}

/** Runs the same detection as the live agent. `timeScale` is null for the one that the first sample has. */
export async function replaySamples(
  samples: AsyncIterable<Sample>,
  timeScale: number | null,
): Promise<Replay> {
  const clock = createClock();
  let detection: Detection | null = null;
  const alerts: ReplayAlert[] = [];
  const timeToLimit: { tMs: number; ms: number }[] = [];
  const evaluationMs: number[] = [];
  let last: DetectionResult | null = null;
  let first: Sample | null = null;
  let scale = 1;
  let lastAtMs = 0;
  let count = 0;
  for await (const sample of samples) {
    if (first === null) {
      first = sample;
      scale = timeScale ?? recordedTimeScale(sample);
    }
    detection ??= createReplayDetection(scale);
    const startMs = clock.nowMs();
    const result = detection.addSample(sample);
    const isEvaluation = result.verdicts !== last?.verdicts;
    if (isEvaluation) evaluationMs.push(clock.nowMs() - startMs);
    alerts.push(...result.transitions.map((alert) => replayAlert(alert, sample.atMs)));
    if (isEvaluation && result.timeToLimit !== null)
      timeToLimit.push({ tMs: sample.atMs, ms: result.timeToLimit.ms });
    last = result;
    lastAtMs = sample.atMs;
    count += 1;
  }
  return {
    schema: 'wsguard.replay/1',
    alerts,
    answers: (last?.verdicts ?? []).map(detectorAnswer),
    timeToLimit,
    evaluationMs: { median: quantile(evaluationMs, 0.5), p99: quantile(evaluationMs, 0.99) },
    samples: count,
    timeScale: scale,
    intervalMs: first === null || count < 2 ? null : (lastAtMs - first.atMs) / (count - 1),
  };
}

/** Anybody may have written the recording. */
const recordedTimeScale = ({ timeScale }: Sample): number => {
  const { min = 0, max = Infinity } = SCHEMA.timeScale;
  return typeof timeScale === 'number' && timeScale >= min && timeScale <= max ? timeScale : 1;
};

function createReplayDetection(timeScale: number): Detection {
  let ids = 0;
  return createDetection({
    identity: IDENTITY,
    config: { timeScale, mute: [], maxConnections: null },
    newId: () => `replay-${(ids += 1)}`,
  });
}

const replayAlert = (alert: Alert, tMs: number): ReplayAlert => ({
  event: alert.event,
  id: alert.id,
  fingerprint: alert.fingerprint,
  kind: alert.kind,
  family: alert.family,
  severity: alert.severity,
  tMs,
  timeToLimitMs: alert.timeToLimit?.ms ?? null,
  subject: alert.subject,
  title: alert.title,
  evidence: alert.evidence,
  against: alert.against,
  also: alert.also,
  ...(alert.because === undefined ? {} : { because: alert.because }),
});

const detectorAnswer = (verdict: DetectionResult['verdicts'][number]): StatusVerdict => ({
  detector: verdict.detector,
  answer: verdict.answer,
  evidence: verdict.evidence,
  ...(verdict.answer === 'found' ? { because: verdict.finding.title } : { because: verdict.because }),
  ...('missing' in verdict && verdict.missing !== undefined ? { missing: verdict.missing } : {}),
});

function replayText({ alerts, answers, samples }: Replay): string {
  const lines = alerts.length === 0 ? [`No alert in ${samples} samples.`] : alerts.map(alertLine);
  const width = Math.max(0, ...answers.map(({ detector }) => detector.length));
  const answerLines = answers.map(
    ({ detector, answer, because, missing }) =>
      `  ${detector.padEnd(width)}  ${answer}: ${because}${missing === undefined ? '' : ` (missing: ${missing})`}`,
  );
  return `${[...lines, '', 'Answer of each detector at the end:', ...answerLines].join('\n')}\n`;
}

function alertLine({ tMs, event, kind, severity, title, because, timeToLimitMs: ms }: ReplayAlert): string {
  const seconds = `${(tMs / 1000).toFixed(1).padStart(9)} s`;
  const limit =
    ms === null
      ? ''
      : `, memory limit ${formatTimeToLimit({ ms, lowMs: ms, highMs: ms, limit: 'heap' }).split(' (')[0]}`;
  const end = because === undefined ? limit : ` (${because})`;
  return `${seconds}  ${event.padEnd(7)} ${severity.padEnd(8)} ${kind}: ${title}${end}`;
}
