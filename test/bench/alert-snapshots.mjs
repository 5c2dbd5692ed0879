// `npm run bench -- alert-snapshots [--json] [--mib 150] [--only a,b] [--minutes 10] [--parallel 1]`: each leaky example server
// with a heap of small objects beside its leak, under the agent with its default settings (one second counts as a minute).
// The first alert of a leak must have a snapshot. `--minutes` is the time for the alert and its first snapshot.
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import cases from '../../fixtures/apps/cases.js';
import installer from '../../fixtures/components/install.js';
import components from '../../fixtures/components/start.js';
import lab from '../../fixtures/lab.js';

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    mib: { type: 'string', default: '150' },
    only: { type: 'string', default: '' },
    minutes: { type: 'string', default: '10' },
    parallel: { type: 'string', default: '1' },
  },
});
const only = values.only.split(',').filter(Boolean);
const names = Object.keys(cases.LEAKS).filter((name) => only.length === 0 || only.includes(name));
const limitMs = Number(values.minutes) * 60_000;

const dir = mkdtempSync(join(tmpdir(), 'wsguard-bench-alert-snapshots-'));
const ballast = join(dir, 'ballast.cjs');
/** An entry takes 88 bytes with its string and its slot (measured). The lists are short, as in the heap of most servers. */
writeFileSync(
  ballast,
  `const lists = (globalThis.ballast = []);
   for (let id = 0; id < (${Number(values.mib)} * 1024 * 1024) / 88; id += 1) {
     if (id % 100 === 0) lists.push([]);
     lists.at(-1).push({ id, text: 'entry ' + id });
   }`,
);

/** The alert of a leak that has the outcome of a snapshot, and that outcome. */
function snapshotOf(app) {
  const alerts = app.alerts().filter(({ family }) => family === 'leak');
  const alert = alerts.find(({ snapshots }) => (snapshots ?? []).length > 0);
  if (alert !== undefined) return { alert, snapshot: alert.snapshots[0] };
  // An hour passes in a minute here, so an alert can close before its snapshot is written.
  for (const closed of alerts.filter(({ event }) => event === 'closed')) {
    const folder = join(app.dir, closed.id);
    const name = (existsSync(folder) ? readdirSync(folder) : []).find((file) => file.startsWith('heap-'));
    if (name === undefined) continue;
    const bytes = statSync(join(folder, name)).size;
    const seenAfterMs = Date.now() - app.startedMs;
    return { alert: { ...closed, seenAfterMs }, snapshot: { outcome: 'written', bytes } };
  }
  return null;
}

async function measure(name, redisUrl) {
  const running = await lab.startCase(name, 'leaky', cases.LEAKS[name], {
    env: { REDIS_URL: redisUrl },
    nodeArgs: ['--require', ballast],
  });
  const { app } = running;
  try {
    const until = Date.now() + limitMs;
    let found = null;
    while (found === null && Date.now() < until && app.over() === null) {
      await lab.sleep(250);
      found = snapshotOf(app);
    }
    const opened = app.opened().find(({ id, family }) => (found ? id === found.alert.id : family === 'leak'));
    const { outcome = 'none', method, pauseMs, bytes, reason, notForkedBecause } = found?.snapshot ?? {};
    const secondsOf = (ms) => Math.round(ms / 1000);
    return {
      name,
      kind: opened?.kind ?? null,
      openedS: opened === undefined ? null : secondsOf(opened.seenAfterMs),
      outcome,
      method,
      pauseMs,
      // From the alert to its update with the file.
      seconds: found === null ? null : secondsOf(found.alert.seenAfterMs - opened.seenAfterMs),
      fileMib: bytes === undefined ? null : Number((bytes / 1024 / 1024).toFixed(1)),
      reason: reason ?? notForkedBecause ?? null,
      isServerAlive: app.over() === null,
    };
  } catch (error) {
    return { name, outcome: 'none', reason: error.message, isServerAlive: false };
  } finally {
    await running.stop();
  }
}

await installer.install('redis');
const redis = await components.startComponent('redis');
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(1));
const results = [];
let next = 0;
async function runLane() {
  while (next < names.length) {
    const result = await measure(names[next++], redis.url);
    results.push(result);
    const { name, kind, openedS, outcome, method, pauseMs, seconds, fileMib, reason } = result;
    if (!values.json)
      console.log(
        `${name.padEnd(18)} ${String(kind).padEnd(24)} alert after ${openedS ?? '-'} s; ${outcome} ${method ?? ''} ` +
          `after ${seconds ?? '-'} s, stop ${pauseMs ?? '-'} ms, file ${fileMib ?? '-'} MiB ${reason ?? ''}`,
      );
  }
}
try {
  await Promise.all(Array.from({ length: Number(values.parallel) }, runLane));
} finally {
  await redis.stop();
  rmSync(dir, { recursive: true, force: true });
}
const written = results.filter(({ outcome }) => outcome === 'written').length;
const summary = {
  node: process.version,
  mib: Number(values.mib),
  written,
  of: results.length,
  load: loadavg()[0],
};
console.log(
  values.json ? JSON.stringify({ ...summary, results }, null, 1) : `written ${written} of ${results.length}`,
);
process.exit(written === results.length ? 0 : 1);
