/** The history that a real Prometheus scraped, read back as samples: `wsguard replay --prometheus <url>`. */

import type { Clock, Sample } from '../types/index.ts';
import { CliError } from './io.ts';
import { AGENT_METRICS, createPointReader, PLAIN_METRICS, type Point } from './prometheus-points.ts';
import type { TraceOptions } from './trace.ts';

export interface HistoryOptions extends TraceOptions {
  readonly url: string;
  readonly from: string | undefined;
  readonly to: string | undefined;
  /** Labels as PromQL writes them: `{job="chat",instance="a:9464"}`. */
  readonly selector: string | undefined;
  readonly timeScale: number;
  readonly clock: Clock;
}

/** The agent's period; with a time scale the recording's own seconds are fewer. */
const STEP_S = 15;
const MIN_STEP_S = 0.25;
/** Prometheus refuses more than 11,000 points a series; fewer keep an answer of hundreds of series small. */
const POINTS_A_QUERY = 2_000;
const DEFAULT_RANGE_S = 7 * 24 * 3600;
const TIMEOUT_MS = 30_000;

interface Series {
  readonly metric: Readonly<Record<string, string>>;
  readonly values: readonly (readonly [seconds: number, value: string])[];
}

export async function* readHistory(options: HistoryOptions): AsyncGenerator<Sample> {
  const toS = options.to === undefined ? Math.floor(options.clock.wallMs() / 1000) : timeS(options.to);
  const fromS = options.from === undefined ? toS - DEFAULT_RANGE_S : timeS(options.from);
  if (!(fromS < toS)) throw new CliError('WSGUARD_REPLAY_TIME', '--from is not before --to', 'Swap them.');
  const read = createPointReader(options);
  const stepS = Math.max(MIN_STEP_S, STEP_S / options.timeScale);
  let one: string | null = null;
  for (let startS = fromS; startS < toS; startS += POINTS_A_QUERY * stepS) {
    const endS = Math.min(toS, startS + (POINTS_A_QUERY - 1) * stepS);
    const series = await query(options, { startS, endS, stepS });
    one = onlyInstance(series, one);
    for (const [seconds, points] of byTime(series)) yield read(seconds, points);
  }
}

interface Range {
  readonly startS: number;
  readonly endS: number;
  readonly stepS: number;
}

async function query(options: HistoryOptions, { startS, endS, stepS }: Range): Promise<Series[]> {
  const url = new URL(`${options.url.replace(/\/+$/, '')}/api/v1/query_range`);
  const headers: Record<string, string> = {};
  if (url.username !== '') {
    headers['authorization'] = `Basic ${btoa(`${url.username}:${decodeURIComponent(url.password)}`)}`;
    url.username = url.password = '';
  }
  const names = [...AGENT_METRICS, ...PLAIN_METRICS].join('|');
  const labels = (options.selector ?? '').trim().replace(/^\{|\}$/g, '');
  const body = new URLSearchParams({
    query: `{__name__=~"${names}"${labels === '' ? '' : `,${labels}`}}`,
    start: String(startS),
    end: String(endS),
    step: String(stepS),
  });
  try {
    const response = await fetch(url, {
      method: 'POST',
      body,
      headers,
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const answer = (await response.json()) as { status: string; error?: string; data?: { result: Series[] } };
    if (answer.status !== 'success' || answer.data === undefined)
      throw new CliError(
        'WSGUARD_REPLAY_PROMETHEUS',
        answer.error ?? `HTTP ${response.status}`,
        'See --selector.',
      );
    return answer.data.result;
  } catch (error) {
    if (error instanceof CliError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new CliError(
      'WSGUARD_REPLAY_PROMETHEUS',
      `no answer from ${url.origin}: ${reason}`,
      'The URL is that of Prometheus itself, such as http://127.0.0.1:9090.',
    );
  }
}

/** Labels that tell series of one process apart; the rest says which process. */
const OF_A_SERIES = new Set(
  '__name__ transport code limit registry emitter event queue rooms kind pool space le quantile'.split(' '),
);
const MAX_NAMED = 5;

function onlyInstance(series: readonly Series[], before: string | null): string | null {
  const all = new Set(before === null ? [] : [before]);
  for (const { metric } of series) {
    const labels = Object.entries(metric).filter(([label]) => !OF_A_SERIES.has(label));
    all.add(
      labels
        .map(([label, value]) => `${label}="${value}"`)
        .sort()
        .join(','),
    );
  }
  if (all.size <= 1) return [...all][0] ?? null;
  throw new CliError(
    'WSGUARD_REPLAY_SELECTOR',
    `${all.size} processes match`,
    `Name one: --selector '{…}', such as ${[...all]
      .slice(0, MAX_NAMED)
      .map((labels) => `{${labels}}`)
      .join(' or ')}`,
  );
}

function byTime(series: readonly Series[]): [seconds: number, points: Point[]][] {
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

function timeS(text: string): number {
  const seconds = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Date.parse(text) / 1000;
  if (Number.isFinite(seconds)) return seconds;
  throw new CliError('WSGUARD_REPLAY_TIME', `${text} is no time`, 'ISO 8601, or seconds since the epoch.');
}
