// The tracing agents of `npm run beside`: how each is loaded, where it sends its spans, and how they are read.
import { join } from 'node:path';
import { createRequire } from 'node:module';

/** Attributes that differ between two runs of the same server. */
const VARIABLE =
  /port|peer\.address|network\.peer|pid|process[._]id|tags\.process|host$|runtime-id|p\.tid|tracer_time|sampl/;
const PORT_OF_URL = /(127\.0\.0\.1|localhost):\d+/g;
const byText = (a, b) => a.localeCompare(b);

/** A span as one line of text, which is equal in two runs of the same server. */
function spanText(parts, attributes) {
  const kept = attributes.filter(([key]) => !VARIABLE.test(key));
  const values = kept.map(([key, value]) => `${key}=${JSON.stringify(value)}`).toSorted(byText);
  return [...parts, ...values].join(' ').replace(PORT_OF_URL, '$1:<port>');
}

/** OTLP in JSON. */
function otlpSpans({ url, body }) {
  if (url !== '/v1/traces') return [];
  return JSON.parse(body).resourceSpans.flatMap(({ scopeSpans }) =>
    scopeSpans.flatMap(({ scope, spans }) =>
      spans.map(({ name, kind, attributes = [], status = {} }) =>
        spanText(
          [scope.name, name, kind, status.code ?? 0],
          attributes.map(({ key, value }) => [key, value]),
        ),
      ),
    ),
  );
}

/** The traces of dd-trace: a list of traces in MessagePack, each of which is a list of spans. */
function datadogSpans({ url, body }, folder) {
  if (!/^\/v0\.[45]\/traces/.test(url)) return [];
  const { decode } = createRequire(join(folder, 'package.json'))('@msgpack/msgpack');
  const traces = decode(body, { useBigInt64: true });
  return traces
    .flat()
    .map(({ name, resource, type, error, meta }) =>
      spanText([name, resource, type, error].map(String), Object.entries(meta)),
    );
}

/** Attributes of Sentry about the process and the machine, and the ids of a trace. */
const OF_PROCESS = /^(?:app|device|culture|os|process)\.|segment\.id|sentry-trace|baggage/;

/** Envelopes of Sentry: lines of JSON. Spans are the lines with `items`. */
function sentrySpans({ url, body }) {
  if (!url.includes('/envelope/')) return [];
  const lines = String(body)
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line));
  return lines
    .flatMap(({ items = [] }) => items)
    .filter(({ span_id: id }) => id !== undefined)
    .map(({ name, status, attributes }) => {
      const rows = Object.entries(attributes).filter(([key]) => !OF_PROCESS.test(key));
      return spanText(
        [name, status],
        rows.map(([key, { value }]) => [key, value]),
      );
    });
}

/**
 * `loadings` has the arguments of Node for each module system. `flushMs` is the time after which the spans of the last request
 * have left the process. `scripts` are files that the watcher thread must not load. `minSpans` is below the number that the
 * requests of the test make.
 */
export const TRACERS = {
  OpenTelemetry: {
    folder: 'opentelemetry',
    loadings: (folder) => ({
      CommonJS: [
        '--require',
        module(folder, '@opentelemetry/auto-instrumentations-node/build/src/register.js'),
      ],
      ESM: ['--import', join(folder, 'load.mjs')],
    }),
    env: (url) => ({
      OTEL_TRACES_EXPORTER: 'otlp',
      OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: 'http/json',
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${url}/v1/traces`,
      OTEL_BSP_SCHEDULE_DELAY: '250',
      OTEL_NODE_RESOURCE_DETECTORS: 'none',
    }),
    spansOf: otlpSpans,
    flushMs: 2_000,
    minSpans: 5,
    scripts: /opentelemetry\/(?:auto-)?instrumentation|import-in-the-middle|require-in-the-middle/,
  },
  'dd-trace': {
    folder: 'ddtrace',
    loadings: (folder) => ({
      CommonJS: ['--require', module(folder, 'dd-trace/init.js')],
      ESM: ['--import', module(folder, 'dd-trace/initialize.mjs')],
    }),
    env: (url) => ({
      DD_TRACE_AGENT_URL: url,
      DD_SERVICE: 'beside',
      DD_TRACE_FLUSH_INTERVAL: '250',
      DD_INSTRUMENTATION_TELEMETRY_ENABLED: 'false',
      DD_REMOTE_CONFIGURATION_ENABLED: 'false',
      DD_TRACE_STARTUP_LOGS: 'false',
    }),
    spansOf: datadogSpans,
    flushMs: 2_000,
    minSpans: 5,
    scripts: /dd-trace|import-in-the-middle/,
  },
  Sentry: {
    folder: 'sentry',
    loadings: (folder) => ({
      // Sentry refuses to start by `--require`.
      CommonJS: ['--import', join(folder, 'load.cjs')],
      ESM: ['--import', join(folder, 'load.mjs')],
    }),
    env: (url) => ({ SENTRY_DSN: url.replace('//', '//key@') + '/1' }),
    spansOf: sentrySpans,
    flushMs: 3_000,
    minSpans: 2,
    scripts: /@sentry|import-in-the-middle|require-in-the-middle/,
  },
};

const module = (folder, path) => join(folder, 'node_modules', path);
