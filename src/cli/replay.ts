/** `wsguard replay`: the detectors over recorded samples, on the clock of the recording. */

import { parseArgs } from 'node:util';
import { createClock } from '../core/clock.ts';
import { formatTimeToLimit } from '../core/format.ts';
import { quantile } from '../detect/stats.ts';
import { createDetection, type DetectionResult } from '../detection.ts';
import type { Alert, Identity, Sample, StatusVerdict } from '../types/index.ts';
import { CliError, UsageError, type Run } from './io.ts';
import { readHistory } from './prometheus.ts';
import { openTrace } from './trace-file.ts';

const USAGE =
  'wsguard replay <trace.csv | samples.ndjson | -> [--time-scale 60] [--signals all|preload] [--memory-limit <bytes>] [--json]\n' +
  '       wsguard replay --prometheus <url> [--from <time>] [--to <time>] [--selector <labels>] [--json]';

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
  /** What each detector says at the end. */
  readonly answers: readonly StatusVerdict[];
  readonly timeToLimit: readonly { readonly tMs: number; readonly ms: number }[];
  readonly evaluationMs: { readonly median: number; readonly p99: number };
  readonly samples: number;
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

/** One function serves replay and the live agent: this only feeds it. */
export async function replaySamples(samples: AsyncIterable<Sample>, timeScale: number): Promise<Replay> {
  const clock = createClock();
  let ids = 0;
  const detection = createDetection({
    identity: IDENTITY,
    config: { timeScale, mute: [], maxConnections: null },
    newId: () => `replay-${(ids += 1)}`,
  });
  const alerts: ReplayAlert[] = [];
  const timeToLimit: { tMs: number; ms: number }[] = [];
  const costs: number[] = [];
  let last: DetectionResult | null = null;
  let count = 0;
  for await (const sample of samples) {
    const startedMs = clock.nowMs();
    const step = detection.addSample(sample);
    const isEvaluation = step.verdicts !== last?.verdicts;
    if (isEvaluation) costs.push(clock.nowMs() - startedMs);
    alerts.push(...step.transitions.map((alert) => told(alert, sample.atMs)));
    if (isEvaluation && step.timeToLimit !== null)
      timeToLimit.push({ tMs: sample.atMs, ms: step.timeToLimit.ms });
    last = step;
    count += 1;
  }
  return {
    schema: 'wsguard.replay/1',
    alerts,
    answers: (last?.verdicts ?? []).map(answered),
    timeToLimit,
    evaluationMs: { median: quantile(costs, 0.5), p99: quantile(costs, 0.99) },
    samples: count,
  };
}

export const replay: Run = async (argv, io) => {
  const { values, positionals } = parse(argv);
  const timeScale = positive(values['time-scale'] ?? '1', '--time-scale');
  const signals = values.signals ?? 'all';
  if (signals !== 'all' && signals !== 'preload')
    throw new UsageError(`--signals is all or preload\n${USAGE}`);
  const limit = values['memory-limit'];
  const memoryLimitBytes = limit === undefined ? null : positive(limit, '--memory-limit');
  const [file] = positionals;
  if ((file === undefined) === (values.prometheus === undefined) || positionals.length > 1)
    throw new UsageError(`one recording, or --prometheus <url>\n${USAGE}`);
  const options = { signals, memoryLimitBytes } as const;
  const samples =
    values.prometheus === undefined
      ? openTrace(file ?? '-', io, options)
      : readHistory({
          ...options,
          timeScale,
          url: values.prometheus,
          from: values.from,
          to: values.to,
          selector: values.selector,
          clock: createClock(),
        });
  const result = await replaySamples(samples, timeScale);
  if (result.samples === 0)
    throw new CliError(
      'WSGUARD_REPLAY_EMPTY',
      'the recording holds no sample',
      'Is it a trace? See docs/detection.md.',
    );
  io.out(values.json === true ? `${JSON.stringify(result)}\n` : asText(result));
  return result.alerts.some(({ family }) => family === 'leak') ? 1 : 0;
};

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        'time-scale': { type: 'string' },
        signals: { type: 'string' },
        'memory-limit': { type: 'string' },
        json: { type: 'boolean' },
        prometheus: { type: 'string' },
        from: { type: 'string' },
        to: { type: 'string' },
        selector: { type: 'string' },
      },
    });
  } catch (error) {
    throw new UsageError(`${error instanceof Error ? error.message : String(error)}\n${USAGE}`);
  }
}

function positive(text: string, flag: string): number {
  const value = Number(text);
  if (!(value > 0) || !Number.isFinite(value))
    throw new UsageError(`${flag} takes a number above 0\n${USAGE}`);
  return value;
}

const told = (alert: Alert, tMs: number): ReplayAlert => ({
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

const answered = (verdict: DetectionResult['verdicts'][number]): StatusVerdict => ({
  detector: verdict.detector,
  answer: verdict.answer,
  evidence: verdict.evidence,
  ...(verdict.answer === 'found' ? { because: verdict.finding.title } : { because: verdict.because }),
  ...('missing' in verdict && verdict.missing !== undefined ? { missing: verdict.missing } : {}),
});

function asText({ alerts, answers, samples }: Replay): string {
  const at = (tMs: number): string => `${(tMs / 1000).toFixed(1).padStart(9)} s`;
  const lines = alerts.map(({ tMs, event, kind, severity, title, because, timeToLimitMs: ms }) => {
    const left =
      ms === null
        ? ''
        : `, limit ${formatTimeToLimit({ ms, lowMs: ms, highMs: ms, limit: 'heap' }).split(' (')[0]}`;
    return `${at(tMs)}  ${event.padEnd(7)} ${severity.padEnd(8)} ${kind}: ${title}${because === undefined ? left : ` (${because})`}`;
  });
  if (alerts.length === 0) lines.push(`No alarm in ${samples} samples. At the end:`);
  else lines.push('', 'At the end:');
  for (const { detector, answer, because, missing } of answers)
    lines.push(
      `  ${detector.padEnd(17)} ${answer}: ${because}${missing === undefined ? '' : ` (missing: ${missing})`}`,
    );
  return `${lines.join('\n')}\n`;
}
