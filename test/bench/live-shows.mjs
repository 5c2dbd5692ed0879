// Runs of the live benchmark: connections that freeze, silent ones that cannot be probed, a proxy, and a ramp.
import { join } from 'node:path';
import installer from '../../fixtures/components/install.js';
import processes from '../../fixtures/components/process.js';
import components from '../../fixtures/components/start.js';
import lab from '../../fixtures/lab.js';
import { ramp } from './live-ramp.mjs';

const TIME_SCALE = 60;
const healthy = (name) => join(lab.ROOT, 'fixtures', 'apps', 'healthy', `${name}.js`);

async function start(name, options) {
  const outcome = await installer.install(name);
  if (!outcome.path) throw new Error(`${name} is missing: ${outcome.because}`);
  return components.startComponent(name, options);
}

/** The sum of a metric's series on a Prometheus page; null without such a series. */
export function metric(page, name) {
  const values = [...page.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? ([0-9.e+-]+)`, 'gm'))].map(
    ([, value]) => Number(value),
  );
  return values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0);
}

/** 1,000 connections, 400 of them in processes that are stopped in turn. The numbers come from a real collector. */
async function frozen({ print }) {
  const [all, freezing, batch] = [1000, 400, 10];
  const collector = await start('collector');
  const app = await lab.startApp(healthy('echo'), {
    timeScale: TIME_SCALE,
    env: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint, OTEL_METRIC_EXPORT_INTERVAL: '1000' },
  });
  const clients = [];
  const stopped = [];
  try {
    clients.push(lab.startClients(app.port, { behaviour: 'steady', count: all - freezing }));
    for (let i = 0; i < freezing / batch; i++)
      clients.push(lab.startClients(app.port, { behaviour: 'steady', count: batch }));
    await lab.waitFor(() => clients.reduce((sum, one) => sum + one.state().open, 0) === all, {
      what: 'the connections',
      deadlineMs: 120_000,
    });
    for (const holder of clients.slice(1)) {
      holder.kill('SIGSTOP');
      stopped.push(Date.now());
      await lab.sleep(1000);
    }
    const alert = await app.waitForTransition(({ kind }) => kind === 'zombie-connections', {
      deadlineMs: 120_000,
    });
    const seen = alert.evidence.find(({ name }) => name === 'wsguard_connections_unanswering')?.value;
    const atMs = Date.parse(alert.at);
    const frozenFor = (ms) => stopped.filter((since) => since <= atMs - ms).length * batch;
    const readings = async () => {
      const page = await collector.metricsPage();
      return {
        active: metric(page, 'ws_connections_active'),
        unanswering: metric(page, 'wsguard_connections_unanswering'),
      };
    };
    const atEnd = await lab
      .waitFor(
        async () => {
          const now = await readings();
          return now.active === all && now.unanswering === freezing && now;
        },
        { deadlineMs: 120_000, everyMs: 1000 },
      )
      .catch(readings);
    // A ping comes at most 3 min of silence plus one round of 5 min later: 8 s at this scale, plus the reply timeout.
    const ok =
      seen <= frozenFor(0) &&
      seen >= frozenFor(12_000) &&
      atEnd.active === all &&
      atEnd.unanswering === freezing;
    const result = {
      name: 'frozen',
      ok,
      atAlert: {
        unanswering: seen,
        frozenNow: frozenFor(0),
        frozenFor5s: frozenFor(5000),
        frozenFor12s: frozenFor(12_000),
      },
      atEnd,
      others: app.opened().map(({ kind }) => kind),
    };
    print(`${ok ? 'ok  ' : 'FAIL'} frozen  ${JSON.stringify(result)}`);
    return result;
  } catch (error) {
    print(`FAIL frozen: ${error.message}`);
    return { name: 'frozen', ok: false, error: error.message, stderr: app.stderr().slice(-1500) };
  } finally {
    await Promise.all(clients.map((one) => one.stop()));
    await app.stop();
    await collector.stop();
  }
}

/** 500 push-only SSE clients and 500 of the package `websocket`: none can be probed, none is a zombie. */
async function quiet({ silentMs, print }) {
  const one = async (name, transport, env) => {
    const { page } = await processes.freePorts(['page']);
    const app = await lab.startApp(healthy(name), {
      timeScale: TIME_SCALE,
      env: { ...env, WSGUARD_PROMETHEUS_PORT: String(page) },
    });
    const clients = lab.startClients(app.port, { behaviour: 'steady', transport, count: 500, rate: 100 });
    try {
      await clients.waitForState(({ open }) => open === 500, { deadlineMs: 60_000 });
      let unanswering = 0;
      let cannotBeProbed = null;
      for (const until = Date.now() + silentMs; Date.now() < until; await lab.sleep(1000)) {
        const text = await (await fetch(`http://127.0.0.1:${page}/metrics`)).text();
        unanswering = Math.max(unanswering, metric(text, 'wsguard_connections_unanswering') ?? 0);
        cannotBeProbed = metric(text, 'wsguard_connections_unaskable');
      }
      const { open } = clients.state();
      const alerts = app.opened().map(({ kind, title }) => ({ kind, title }));
      const result = {
        name: `quiet ${name}`,
        ok: open === 500 && unanswering === 0 && alerts.length === 0,
        open,
        unanswering,
        cannotBeProbed,
        alerts,
      };
      print(`${result.ok ? 'ok  ' : 'FAIL'} quiet   ${JSON.stringify(result)}`);
      return result;
    } finally {
      await clients.stop();
      await app.stop();
    }
  };
  return Promise.all([one('sse-ticker', 'sse', { TICK_MS: '60000' }), one('websocket-quiet', 'ws', {})]);
}

/** Behind nginx with an idle timeout of 60 s, in real time: nginx closes the same connections with the agent as without. */
async function nginx({ print }) {
  const count = 20;
  const lives = async (agent) => {
    const app = await lab.startApp(healthy('echo'), { timeScale: 1, ...(agent ? {} : { agent: false }) });
    const proxy = await start('nginx', { upstreamPort: app.port, idleS: 60 });
    const clients = lab.startClients(proxy.ports.http, { behaviour: 'steady', count });
    try {
      await clients.waitForState(({ opened }) => opened >= count);
      clients.tell('hold');
      const since = Date.now();
      await clients
        .waitForState(({ open }) => open === 0, { deadlineMs: 150_000, what: 'nginx to reap' })
        .catch(() => {});
      return { left: clients.state().open, seconds: (Date.now() - since) / 1000 };
    } finally {
      await clients.stop();
      await proxy.stop();
      await app.stop();
    }
  };
  const [without, withAgent] = await Promise.all([lives(false), lives(true)]);
  const ok = without.left === 0 && withAgent.left === 0 && Math.abs(withAgent.seconds - without.seconds) < 5;
  const result = { name: 'nginx', ok, without, withAgent };
  print(`${ok ? 'ok  ' : 'FAIL'} nginx   ${JSON.stringify(result)}`);
  return result;
}

export const SHOWS = { frozen, quiet, nginx, ramp };
