/** What the OTEL_* environment asks for; the exporters read endpoints, headers, timeouts and certificates themselves. */

export type OtlpProtocol = 'http/protobuf' | 'http/json' | 'grpc';
export type Environment = Readonly<Record<string, string | undefined>>;

export interface OtlpProblem {
  readonly code: 'WSGUARD_OTLP_PROTOCOL' | 'WSGUARD_OTLP_ENDPOINT' | 'WSGUARD_OTLP_EXPORT';
  readonly reason: string;
}

export interface OtlpPlan {
  readonly metrics: OtlpProtocol | null;
  readonly logs: OtlpProtocol | null;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly problems: readonly OtlpProblem[];
}

type Signal = 'METRICS' | 'LOGS';

const PROTOCOLS: readonly OtlpProtocol[] = ['http/protobuf', 'http/json', 'grpc'];
const INTERVAL_MS = 60_000;
const TIMEOUT_MS = 30_000;

/** Nothing is exported unless an endpoint is named: an agent must not knock at localhost:4318 unasked. */
export function planOtlp(env: Environment): OtlpPlan {
  const problems: OtlpProblem[] = [];
  const isOff = env.OTEL_SDK_DISABLED?.trim().toLowerCase() === 'true';
  const plan = (signal: Signal): OtlpProtocol | null => (isOff ? null : planSignal(env, signal, problems));
  const metrics = plan('METRICS');
  const logs = plan('LOGS');
  const intervalMs = positive(env.OTEL_METRIC_EXPORT_INTERVAL) ?? INTERVAL_MS;
  const timeoutMs = Math.min(positive(env.OTEL_METRIC_EXPORT_TIMEOUT) ?? TIMEOUT_MS, intervalMs);
  return { metrics, logs, intervalMs, timeoutMs, problems: distinct(problems) };
}

function planSignal(env: Environment, signal: Signal, problems: OtlpProblem[]): OtlpProtocol | null {
  const wanted = (env[`OTEL_${signal}_EXPORTER`] ?? '').trim().toLowerCase();
  if (wanted !== '' && !wanted.split(',').some((name) => name.trim() === 'otlp')) return null;
  const name = pick(env, `OTEL_EXPORTER_OTLP_${signal}_ENDPOINT`, 'OTEL_EXPORTER_OTLP_ENDPOINT');
  if (name === null) return null;
  if (!isHttp(env[name] ?? '')) {
    // The value may carry a password.
    problems.push({ code: 'WSGUARD_OTLP_ENDPOINT', reason: `${name} is not an http or https URL` });
    return null;
  }
  const from = pick(env, `OTEL_EXPORTER_OTLP_${signal}_PROTOCOL`, 'OTEL_EXPORTER_OTLP_PROTOCOL');
  const text = from === null ? 'http/protobuf' : (env[from] ?? '').trim().toLowerCase();
  const protocol = PROTOCOLS.find((known) => known === text);
  if (protocol !== undefined) return protocol;
  problems.push({
    code: 'WSGUARD_OTLP_PROTOCOL',
    reason: `${from}=${text} is not one of ${PROTOCOLS.join(', ')}`,
  });
  return null;
}

/** The first of the names that is set to something. */
const pick = (env: Environment, ...names: readonly string[]): string | null =>
  names.find((name) => (env[name] ?? '').trim() !== '') ?? null;

function isHttp(text: string): boolean {
  try {
    return /^https?:$/.test(new URL(text.trim()).protocol);
  } catch {
    return false;
  }
}

function positive(text: string | undefined): number | null {
  const value = Number(text?.trim());
  return text !== undefined && text.trim() !== '' && Number.isFinite(value) && value > 0 ? value : null;
}

const distinct = (problems: readonly OtlpProblem[]): OtlpProblem[] =>
  problems.filter((problem, i) => problems.findIndex(({ reason }) => reason === problem.reason) === i);
