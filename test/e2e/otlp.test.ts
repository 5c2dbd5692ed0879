import { createClock } from '../../src/core/clock.ts';
import { once } from 'node:events';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { OtlpProblem } from '../../src/export/otlp-settings.ts';
import { metricsFor } from '../../src/export/metrics.ts';
import { startPrometheusServer } from '../../src/export/prometheus-server.ts';
import type { Alert } from '../../src/types/index.ts';
import { alertOf } from '../support/alerts.ts';
import { makeCertificate } from '../support/certificate.ts';
import { describeWith, startComponent, type Collector } from '../support/components.ts';
import { eventually } from '../support/eventually.ts';
import { stateOf } from '../support/metric-state.ts';
import { byTransport, sampleOf } from '../support/samples.ts';

const resource = {
  'service.name': 'chat',
  'service.version': '3.1.4',
  'service.instance.id': 'i-1',
  'host.name': 'web-3',
  'process.pid': 4711,
};

/** Every metric has a value, so that the two pages can be compared completely. */
const rtt = { boundsSeconds: [0.01, 0.1, 1], counts: [10, 15, 18, 20], sumSeconds: 3.5 };
const fullState = () =>
  stateOf({
    sample: sampleOf({
      limits: { ...sampleOf().limits, containerBytes: 512e6 },
      connections: {
        ...sampleOf().connections,
        active: byTransport(1000, { sse: 5 }),
        unanswering: 400,
        retained: 3,
        closeCodes: { '1006': 7, '4001': 2 },
        rtt,
        durations: [
          { transport: 'websocket', status: 'timeout', durations: rtt },
          { transport: 'sse', status: 'normal_closure', durations: { ...rtt, sumSeconds: 4 } },
        ],
      },
      registries: [{ name: 'clients', entries: 1000, source: 'found' }],
      queues: [{ name: 'outgoing', items: 7, oldestAgeMs: null, source: 'app' }],
      rooms: [{ name: 'rooms', rooms: 2, members: 9, source: 'app' }],
      emitters: [{ emitter: 'bus', event: 'message', listeners: 12, eventNames: null, source: 'found' }],
    }),
    postGcHeapBytes: 41e6,
    openAlerts: [{ kind: 'zombie-connections' }],
    timeToLimit: { ms: 90_000, lowMs: 1, highMs: null, limit: 'heap' },
    growthBytesPerHour: { heap: 5e6 },
    snapshots: [{ outcome: 'refused', method: 'none', count: 1 }],
    agent: {
      samplesTotal: 5,
      samplesDroppedTotal: 1,
      watcherRestartsTotal: 0,
      faultsTotal: { sampler: 1 },
      cpuSecondsTotal: { watcher: 0.5 },
      deliveries: [{ sink: 'file', outcome: 'delivered', count: 3 }],
    },
  });

interface OtelState {
  readonly exports: readonly string[];
  readonly problems: readonly OtlpProblem[];
  readonly recovered: readonly string[];
  readonly droppedLogs: number;
}

/** Runs the exporter in its own thread, controlled by messages. */
function startThread(env: Record<string, string>) {
  const worker = new Worker(join(__dirname, '..', 'support', 'otel-worker.cjs'), {
    env,
    execArgv: [],
    workerData: { state: fullState(), resource },
  });
  const request = async (
    command: 'emit' | 'flush' | 'stop' | 'state',
    argument?: unknown,
  ): Promise<OtelState> => {
    worker.postMessage({ command, argument });
    const [state] = (await once(worker, 'message')) as [OtelState];
    return state;
  };
  return {
    emit: (...alerts: Alert[]) => request('emit', alerts),
    flush: () => request('flush'),
    state: () => request('state'),
    stop: () => request('stop'),
    end: () => worker.terminate(),
  };
}

describeWith(['collector'], 'OTLP to the OpenTelemetry collector', () => {
  let collector: Collector;
  const threads: { end(): Promise<unknown> }[] = [];

  beforeEach(async () => {
    collector = await startComponent('collector');
  });
  afterEach(async () => {
    for (const thread of threads.splice(0)) await thread.end();
    await collector.stop();
  });

  function start(env: Record<string, string>) {
    const thread = startThread({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint, ...env });
    threads.push(thread);
    return thread;
  }

  /** A flush gives up after 2 s, and on a busy machine an export takes longer. */
  const untilProblems = (otel: ReturnType<typeof start>, count: number): Promise<OtelState> =>
    eventually(async () => {
      const state = await otel.flush();
      return state.problems.length >= count ? state : null;
    }, `${count} problems`);

  const pageHas = (text: string) => async () => (await collector.metricsPage()).includes(text);

  test.each(['http/protobuf', 'http/json'])('metrics and an alert arrive by %s', async (protocol) => {
    const otel = start({ OTEL_EXPORTER_OTLP_PROTOCOL: protocol });
    await otel.emit(alertOf());
    const { exports, problems } = await otel.flush();
    expect(exports).toEqual([`metrics ${protocol}`, `logs ${protocol}`]);
    expect(problems).toEqual([]);
    await eventually(pageHas('wsguard_connections_unanswering{'), 'metrics on the page');
    const page = await collector.metricsPage();
    expect(page).toMatch(/^wsguard_connections_unanswering\{[^}]*service_instance_id="i-1"[^}]*\} 400$/m);
    expect(page).toMatch(/^ws_connections_active\{[^}]*transport="websocket"[^}]*\} 1000$/m);
    const [record] = await eventually(() => {
      const records = collector.logRecords();
      return records.length > 0 ? records : null;
    }, 'the log record');
    expect(record).toMatchObject({
      severityNumber: 13,
      severityText: 'WARN',
      eventName: 'wsguard.alert',
      body: { stringValue: '1,912 of 2,410 connections do not reply to pings' },
    });
    expect(record?.attributes).toEqual(
      expect.arrayContaining([
        { key: 'event.name', value: { stringValue: 'wsguard.alert' } },
        { key: 'wsguard.alert.kind', value: { stringValue: 'zombie-connections' } },
        { key: 'wsguard.alert.id', value: { stringValue: 'a1b2c3' } },
      ]),
    );
    expect(record?.resource.attributes).toEqual(
      expect.arrayContaining([{ key: 'service.instance.id', value: { stringValue: 'i-1' } }]),
    );
  });

  test("the collector's Prometheus page and ours have the same series with the same values", async () => {
    await start({}).flush();
    await eventually(pageHas('wsguard_agent_samples_total'), 'metrics on the page');
    const page = await startPrometheusServer({
      clock: createClock(),
      host: '127.0.0.1',
      port: 0,
      metrics: metricsFor('off'),
      readState: fullState,
      resource,
    });
    if (page.outcome !== 'listening') throw new Error(page.reason);
    const ours = seriesOf(await (await fetch(page.url)).text());
    page.stop();
    const theirs = seriesOf(await collector.metricsPage());
    expect(Object.keys(ours).length).toBeGreaterThan(60);
    expect(theirs).toEqual(ours);
  });

  test('wrong credentials are reported once, and correct ones work', async () => {
    const env = (password: string) => ({
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.basicEndpoint,
      OTEL_EXPORTER_OTLP_HEADERS: `authorization=Basic%20${encodeURIComponent(basic(password))}`,
    });
    const basic = (password: string) => Buffer.from(`agent:${password}`).toString('base64');
    const wrong = start(env('wrong'));
    await untilProblems(wrong, 1);
    const { problems } = await wrong.flush();
    expect(problems.map(({ code }) => code)).toEqual(['WSGUARD_OTLP_EXPORT']);
    expect(problems[0]?.reason).toMatch(/Unauthorized|401/);
    expect(JSON.stringify(problems)).not.toContain(basic('wrong'));
    expect(await pageHas('ws_connections_active{')()).toBe(false);
    expect((await start(env('secretpw')).flush()).problems).toEqual([]);
    await eventually(pageHas('ws_connections_active{'), 'metrics on the page');
  });

  test('while the collector restarts, the failure is reported once, the alert is kept, and recovery is reported', async () => {
    // The exporter retries for this long while the collector is down.
    const otel = start({ OTEL_EXPORTER_OTLP_TIMEOUT: '3000' });
    await otel.flush();
    await collector.stop({ keep: true });
    await otel.emit(alertOf({ id: 'while-down' }));
    await untilProblems(otel, 2);
    const signals = (await otel.flush()).problems.map(
      ({ code, reason }) => `${code} ${reason.split(':')[0]}`,
    );
    expect(new Set(signals)).toEqual(new Set(['WSGUARD_OTLP_EXPORT metrics', 'WSGUARD_OTLP_EXPORT logs']));
    expect(signals).toHaveLength(2);
    collector = await startComponent('collector', { dir: collector.dir, ports: { ...collector.ports } });
    await eventually(async () => {
      await otel.flush();
      return JSON.stringify(collector.logRecords()).includes('while-down');
    }, 'the alert');
    const { recovered, problems } = await eventually(async () => {
      const state = await otel.flush();
      return state.recovered.length === 2 ? state : null;
    }, 'recovery');
    expect(new Set(recovered)).toEqual(new Set(['metrics', 'logs']));
    expect(problems).toHaveLength(2);
  });

  test('a collector that stays down: the queue and the stop are bounded, and each signal is reported once', async () => {
    await collector.stop({ keep: true });
    const otel = start({ OTEL_EXPORTER_OTLP_TIMEOUT: '300', OTEL_METRIC_EXPORT_INTERVAL: '100' });
    await otel.emit(...Array.from({ length: 1000 }, (_, n) => alertOf({ n })));
    await eventually(async () => (await otel.state()).droppedLogs >= 1000 - 2 * 256, 'a full queue');
    await eventually(async () => (await otel.state()).problems.length === 2, 'both signals to be reported');
    const startedMs = Date.now();
    const { problems } = await otel.stop();
    expect(Date.now() - startedMs).toBeLessThan(10_000);
    expect(problems).toHaveLength(2);
  });

  test('grpc without its exporter is reported, and nothing is exported', async () => {
    const { exports, problems } = await start({ OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' }).flush();
    expect(exports).toEqual([]);
    expect(problems.map(({ code }) => code)).toEqual(['WSGUARD_OTLP_PROTOCOL']);
  });

  test('TLS works with the certificate, and a missing certificate is reported', async () => {
    const { cert, key } = makeCertificate();
    await collector.stop();
    collector = await startComponent('collector', { tls: { cert, key } });
    const [problem] = (await untilProblems(start({}), 1)).problems;
    expect(problem).toMatchObject({ code: 'WSGUARD_OTLP_EXPORT' });
    expect(await pageHas('ws_connections_active{')()).toBe(false);
    expect((await start({ OTEL_EXPORTER_OTLP_CERTIFICATE: cert }).flush()).problems).toEqual([]);
    await eventually(pageHas('ws_connections_active{'), 'metrics on the page');
  });
});

/** Maps name and labels to the value, without the labels that only one of the two pages has. */
function seriesOf(page: string): Record<string, number> {
  const found: Record<string, number> = {};
  for (const line of page.split('\n')) {
    const match = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/.exec(line);
    if (match === null || match[1] === 'target_info') continue;
    const labels = [...(match[2] ?? '').matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)]
      .filter(
        ([, name]) => !/^(job|instance|otel_scope_.*|service_.*|host_name|process_pid)$/.test(name ?? ''),
      )
      .map(([text]) => text)
      .toSorted();
    found[`${match[1]}{${labels.join(',')}}`] = Number(match[3]);
  }
  return found;
}
