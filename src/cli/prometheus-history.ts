/** Reads the metrics that a Prometheus server scraped, as samples: `wsguard replay --prometheus <url>`. */
import type { Sample } from '../types/index.ts';
import { CliError } from './command.ts';
import { createPointReader, METRIC_NAMES, type Point } from './prometheus-sample.ts';
import type { TraceOptions } from './trace-sample.ts';

export interface HistoryOptions extends TraceOptions {
  readonly url: URL;
  /** Unix seconds. */
  readonly fromS: number;
  readonly toS: number;
  /** Labels in PromQL: `{job="chat",instance="a:9464"}`. */
  readonly selector: string;
  readonly timeScale: number;
}

/** The default interval of the agent. */
const STEP_S = 15;
const MIN_STEP_S = 0.25;
/** Prometheus refuses more than 11,000 points per series. Fewer points keep a reply with hundreds of series small. */
const MAX_POINTS_PER_QUERY = 2_000;
const TIMEOUT_MS = 30_000;

interface Series {
  readonly metric: Readonly<Record<string, string>>;
  readonly values: readonly (readonly [seconds: number, value: string])[];
}

export async function* readHistory(options: HistoryOptions): AsyncGenerator<Sample> {
  const { fromS, toS } = options;
  const readPoints = createPointReader(options);
  const stepS = Math.max(MIN_STEP_S, STEP_S / options.timeScale);
  let process: string | null = null;
  for (let startS = fromS; startS < toS; startS += MAX_POINTS_PER_QUERY * stepS) {
    const endS = Math.min(toS, startS + (MAX_POINTS_PER_QUERY - 1) * stepS);
    const series = await query(options, { startS, endS, stepS });
    process = onlyProcess(series, process);
    for (const [seconds, points] of groupByTime(series)) yield readPoints(seconds, points);
  }
}

interface Range {
  readonly startS: number;
  readonly endS: number;
  readonly stepS: number;
}

interface QueryReply {
  readonly status: string;
  readonly error?: string;
  readonly data?: { readonly result: Series[] };
}

async function query(options: HistoryOptions, { startS, endS, stepS }: Range): Promise<Series[]> {
  const { url, headers } = queryTarget(options.url);
  const labels = options.selector.trim().replace(/^\{|\}$/g, '');
  const body = new URLSearchParams({
    query: `{__name__=~"${METRIC_NAMES.join('|')}"${labels === '' ? '' : `,${labels}`}}`,
    start: String(startS),
    end: String(endS),
    step: String(stepS),
  });
  let status: number;
  let reply: QueryReply;
  try {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const response = await fetch(url, { method: 'POST', body, headers, signal });
    status = response.status;
    reply = (await response.json()) as QueryReply;
  } catch (error) {
    throw new CliError(
      'WSGUARD_REPLAY_PROMETHEUS',
      `no Prometheus reply from ${url.origin}: ${requestErrorText(error)}`,
      'Give the URL of the Prometheus server, such as http://127.0.0.1:9090, not of a metrics page.',
    );
  }
  if (reply.status === 'success' && reply.data !== undefined) return reply.data.result;
  throw new CliError(
    'WSGUARD_REPLAY_PROMETHEUS',
    `Prometheus refused the query: ${reply.error ?? `HTTP status ${status}`}`,
    'Check the syntax of --selector: \'{job="chat"}\'.',
  );
}

/** fetch refuses URLs with a user and password, so these become a header. */
function queryTarget(server: URL): { url: URL; headers: Record<string, string> } {
  const url = new URL(`${server.href.replace(/\/+$/, '')}/api/v1/query_range`);
  if (url.username === '') return { url, headers: {} };
  const authorization = `Basic ${btoa(`${url.username}:${decodeURIComponent(url.password)}`)}`;
  url.username = url.password = '';
  return { url, headers: { authorization } };
}

/** The message of fetch is only "fetch failed"; its cause has the reason. */
function requestErrorText(error: unknown): string {
  const { message, cause } = error as Error & { cause?: { code?: string; message?: string } };
  return cause?.code ?? cause?.message ?? message;
}

/** Labels that separate the series of one process. All other labels identify the process. */
const SERIES_LABELS = new Set([
  '__name__',
  'transport',
  'code',
  'limit',
  'registry',
  'emitter',
  'event',
  'queue',
  'rooms',
  'kind',
  'pool',
  'space',
  'le',
  'quantile',
]);
const MAX_SUGGESTIONS = 5;

/** Returns the labels of the one process that the series belong to. Throws when there are several. */
function onlyProcess(series: readonly Series[], earlier: string | null): string | null {
  const processes = new Set(earlier === null ? [] : [earlier]);
  for (const { metric } of series) {
    const labels = Object.entries(metric).filter(([label]) => !SERIES_LABELS.has(label));
    processes.add(
      labels
        .map(([label, value]) => `${label}="${value}"`)
        .sort()
        .join(','),
    );
  }
  if (processes.size <= 1) return [...processes][0] ?? null;
  const suggestions = [...processes].slice(0, MAX_SUGGESTIONS).map((labels) => `'{${labels}}'`);
  throw new CliError(
    'WSGUARD_REPLAY_SELECTOR',
    `${processes.size} processes match`,
    `Select one with --selector ${suggestions.join(' or ')}`,
  );
}

function groupByTime(series: readonly Series[]): [seconds: number, points: Point[]][] {
  const times = new Map<number, Point[]>();
  for (const { metric, values } of series) {
    const { __name__: name = '', ...labels } = metric;
    for (const [seconds, value] of values) {
      const points = times.get(seconds) ?? [];
      points.push({ name, labels, value: Number(value) });
      times.set(seconds, points);
    }
  }
  return [...times].toSorted(([a], [b]) => a - b);
}
