// `npm run bench -- live [--json] [--only a,b] [--minutes 10] [--leaky-minutes 1.5] [--parallel 3]`
// Real servers, real clients, the bare preload, a second for a minute. Parts: leaky (kind, delay, culprit), fixed
// and healthy (silence), real (healthy packages), frozen, quiet, nginx. `--only` takes parts and names of cases.
import { relative } from 'node:path';
import { parseArgs } from 'node:util';
import cases from '../../fixtures/apps/cases.js';
import installer from '../../fixtures/components/install.js';
import components from '../../fixtures/components/start.js';
import lab from '../../fixtures/lab.js';
import real from '../../fixtures/real/start.js';
import * as shows from './live-shows.mjs';

const text = { type: 'string' };
const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    only: { ...text, default: '' },
    minutes: { ...text, default: '2' },
    'leaky-minutes': { ...text, default: '1.5' },
    parallel: { ...text, default: '2' },
  },
});
const only = options.only.split(',').filter(Boolean);
const silentMs = Number(options.minutes) * 60_000;
const leakyMs = Number(options['leaky-minutes']) * 60_000;
const TIME_SCALE = 60;
const say = (line) => options.json || console.log(line);
const wanted = (part, name) =>
  only.length === 0 || only.includes(part) || (name !== undefined && only.includes(name));

/** Runs tasks, at most `parallel` at a time, results in order. */
async function pool(tasks) {
  const results = [];
  let next = 0;
  const lane = async () => {
    while (next < tasks.length) {
      const i = next++;
      results[i] = await tasks[i]();
    }
  };
  await Promise.all(Array.from({ length: Number(options.parallel) }, lane));
  return results;
}

const brief = (alert) => ({
  kind: alert.kind,
  severity: alert.severity,
  title: alert.title,
  event: alert.event,
  afterS: Math.round(alert.seenAfterMs / 100) / 10,
});

/** The culprit against the marked line of the fixture. */
function judgeCulprit(culprit, file, marked) {
  if (!culprit) return { text: null, place: null, right: false };
  const place = culprit.file ? `${relative(lab.ROOT, culprit.file)}:${culprit.line}` : null;
  return {
    text: culprit.text,
    place,
    right: culprit.file === file && culprit.line === marked,
    wanted: marked,
  };
}

async function leaky(name, env) {
  const theCase = cases.LEAKS[name];
  const running = await lab.startCase(name, 'leaky', theCase, { timeScale: TIME_SCALE, env });
  try {
    const marked = lab.markedLine(running.file);
    const until = Date.now() + leakyMs;
    const rightKind = () =>
      running.app.transitions().find(({ kind, event }) => event !== 'closed' && theCase.kinds.includes(kind));
    const rightCulprit = () =>
      running.app.alerts().some(({ culprit }) => judgeCulprit(culprit, running.file, marked).right);
    while (Date.now() < until && !running.app.over() && !(rightKind() && rightCulprit()))
      await lab.sleep(250);
    const first = running.app.opened()[0];
    const last = running.app.alerts().find(({ id }) => id === first?.id);
    const right = rightKind();
    const result = {
      name,
      ok: right !== undefined && running.app.over() === null,
      expected: theCase.kinds,
      kind: last?.kind ?? null,
      opened: running.app.opened().map(brief),
      firstAlertS: first ? brief(first).afterS : null,
      rightKindS: right ? brief(right).afterS : null,
      culprit: judgeCulprit(last?.culprit, running.file, marked),
      culpritBecause: last?.culpritBecause,
      snapshots: last?.snapshots ?? [],
      died: running.app.over(),
      stderr: running.app.stderr().slice(-1500),
    };
    const { culprit } = result;
    say(
      `${result.ok ? 'ok  ' : 'FAIL'} leaky   ${name.padEnd(17)} ${String(result.kind).padEnd(22)} after ${result.rightKindS ?? '-'} s` +
        `  culprit ${culprit.right ? 'right' : 'WRONG'}: ${culprit.place ?? culprit.text ?? result.culpritBecause ?? 'none'} (line ${marked})` +
        `  snapshots ${result.snapshots.map((s) => s.outcome).join(', ') || 'none'}`,
    );
    if (!result.ok)
      say(`       opened: ${JSON.stringify(result.opened)} expected ${theCase.kinds.join(' or ')}`);
    return result;
  } finally {
    await running.stop();
  }
}

/** Whatever is said by a server that does not leak is a false alarm. */
async function silent(part, name, start) {
  let running;
  try {
    running = await start();
    const until = Date.now() + silentMs;
    while (Date.now() < until && !running.app.over()) await lab.sleep(500);
    const alerts = running.app.opened();
    const result = {
      name,
      ok: alerts.length === 0 && !running.app.over(),
      minutes: Number(options.minutes),
      alerts: alerts.map(brief),
      died: running.app.over(),
    };
    say(
      `${result.ok ? 'ok  ' : 'FAIL'} ${part.padEnd(7)} ${name.padEnd(26)} ${result.ok ? `silent for ${options.minutes} min` : JSON.stringify(result.alerts)}`,
    );
    for (const { evidence, also } of result.ok ? [] : alerts)
      say(`       ${JSON.stringify({ evidence, also })}`);
    return result;
  } catch (error) {
    say(`FAIL ${part} ${name}: ${error.message}`);
    return { name, ok: false, error: error.message };
  } finally {
    await running?.stop();
  }
}

const needed = [...new Set(Object.values(cases.LEAKS).flatMap(({ needs = [] }) => needs))];
for (const name of needed) await installer.install(name);
const redis = await components.startComponent('redis');
const env = { REDIS_URL: redis.url };
const result = {
  schema: 'wsguard.bench.live/1',
  timeScale: TIME_SCALE,
  silentMinutes: Number(options.minutes),
};
try {
  const leaks = Object.keys(cases.LEAKS);
  const named = (part, names) => names.filter((name) => wanted(part, name));
  const quietly = (part, variant, names) =>
    pool(
      named(part, names).map(
        (name) => () =>
          silent(part, name, () =>
            lab.startCase(name, variant, cases.LEAKS[name] ?? cases.HEALTHY[name], {
              timeScale: TIME_SCALE,
              env,
            }),
          ),
      ),
    );
  result.leaky = await pool(named('leaky', leaks).map((name) => () => leaky(name, env)));
  result.fixed = await quietly('fixed', 'fixed', leaks);
  result.healthy = await quietly('healthy', 'healthy', Object.keys(cases.HEALTHY));
  result.real = await pool(
    named('real', real.HEALTHY).map(
      (name) => () => silent('real', name, () => real.startReal(name, 'current', { timeScale: TIME_SCALE })),
    ),
  );
  for (const part of Object.keys(shows.SHOWS).filter((name) => wanted(name))) {
    result[part] = await shows.SHOWS[part]({ silentMs, say });
  }
} finally {
  await redis.stop();
}
const all = Object.values(result)
  .flat()
  .filter((one) => typeof one === 'object' && 'ok' in one);
result.passed = all.filter(({ ok }) => ok).length;
result.failed = all.length - result.passed;
if (options.json) console.log(JSON.stringify(result, null, 1));
say(`${result.passed} passed, ${result.failed} failed, 0 skipped`);
process.exit(result.failed > 0 ? 1 : 0);
