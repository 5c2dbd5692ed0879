import { alertLogRecord } from '../../../src/export/alert-log-record.ts';
import { createMetricExporter, readOtlpSettings } from '../../../src/export/otlp-settings.ts';
import { resourceAttributes } from '../../../src/export/otel.ts';
import { alertOf } from '../../support/alerts.ts';

const ENDPOINT = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318' };

test('without an endpoint nothing is exported', () => {
  expect(readOtlpSettings({})).toMatchObject({ metrics: null, logs: null, problems: [] });
  expect(readOtlpSettings({ OTEL_METRICS_EXPORTER: 'otlp' }).metrics).toBeNull();
});

test('with an endpoint both signals are exported as protobuf', () => {
  expect(readOtlpSettings(ENDPOINT)).toMatchObject({
    metrics: 'http/protobuf',
    logs: 'http/protobuf',
    intervalMs: 60_000,
    timeoutMs: 30_000,
  });
});

test.each([
  [{ OTEL_SDK_DISABLED: 'true' }, null, null],
  [{ OTEL_METRICS_EXPORTER: 'none' }, null, 'http/protobuf'],
  [{ OTEL_LOGS_EXPORTER: 'none' }, 'http/protobuf', null],
  [{ OTEL_METRICS_EXPORTER: 'console' }, null, 'http/protobuf'],
  [{ OTEL_METRICS_EXPORTER: 'console,otlp' }, 'http/protobuf', 'http/protobuf'],
  [{ OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json' }, 'http/json', 'http/json'],
  [{ OTEL_EXPORTER_OTLP_LOGS_PROTOCOL: 'http/json' }, 'http/protobuf', 'http/json'],
])('%p exports metrics by %p and logs by %p', (env, metrics, logs) => {
  expect(readOtlpSettings({ ...ENDPOINT, ...env })).toMatchObject({ metrics, logs, problems: [] });
});

test('an endpoint of one signal exports that signal', () => {
  expect(readOtlpSettings({ OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: 'https://x/v1/metrics' })).toMatchObject({
    metrics: 'http/protobuf',
    logs: null,
  });
});

test('reports an unknown protocol and an invalid endpoint once, without the value of the endpoint', () => {
  expect(readOtlpSettings({ ...ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL: 'http/proto' })).toMatchObject({
    metrics: null,
    logs: null,
    problems: [{ code: 'WSGUARD_OTLP_PROTOCOL' }],
  });
  const { problems } = readOtlpSettings({ OTEL_EXPORTER_OTLP_ENDPOINT: 'collector:4318/hunter2' });
  expect(problems).toHaveLength(1);
  expect(problems[0]).toMatchObject({ code: 'WSGUARD_OTLP_ENDPOINT' });
  expect(JSON.stringify(problems)).not.toContain('hunter2');
});

test('reads interval and timeout; the timeout is at most the interval', () => {
  const settings = readOtlpSettings({
    ...ENDPOINT,
    OTEL_METRIC_EXPORT_INTERVAL: '500',
    OTEL_METRIC_EXPORT_TIMEOUT: 'x',
  });
  expect(settings).toMatchObject({ intervalMs: 500, timeoutMs: 500 });
});

test('creates the grpc exporter if its package is installed', () => {
  class OTLPMetricExporter {}
  const load = (name: string) => {
    if (!name.endsWith('-grpc')) throw new Error('wrong package');
    return { OTLPMetricExporter };
  };
  expect(createMetricExporter('grpc', load)).toBeInstanceOf(OTLPMetricExporter);
  const absent = () => {
    throw Object.assign(new Error('no'), { code: 'MODULE_NOT_FOUND' });
  };
  expect(createMetricExporter('grpc', absent)).toBeNull();
});

test('converts an alert into a log record', () => {
  const record = alertLogRecord(alertOf({ severity: 'critical', because: undefined as never }));
  expect(record).toMatchObject({
    eventName: 'wsguard.alert',
    severityNumber: 17,
    severityText: 'ERROR',
    body: '1,912 of 2,410 connections do not reply to pings',
    timestamp: new Date('2026-11-22T02:00:00.000Z'),
  });
  expect(record.attributes).toMatchObject({
    'event.name': 'wsguard.alert',
    'wsguard.alert.id': 'a1b2c3',
    'wsguard.alert.kind': 'zombie-connections',
    'wsguard.alert.event': 'opened',
    'wsguard.alert.culprit.line': 41,
    'wsguard.alert.time_to_limit.ms': 2_520_000,
    'wsguard.alert.evidence.wsguard_connections_unanswering': 1912,
  });
  expect(Object.keys(record.attributes)).not.toContain('wsguard.alert.because');
  expect(alertLogRecord(alertOf()).severityNumber).toBe(13);
});

test('the resource has the attributes of the environment, overwritten by those of the process', () => {
  const identity = { ...alertOf(), service: 'chat', serviceVersion: null };
  expect(
    resourceAttributes(identity, {
      'deployment.environment': 'prod',
      'service.instance.id': 'shared by all',
      'service.version': '7',
    }),
  ).toEqual({
    'deployment.environment': 'prod',
    'service.name': 'chat',
    'service.version': '7',
    'service.instance.id': 'chat-7f9c',
    'host.name': 'web-3',
    'process.pid': 4711,
  });
});
