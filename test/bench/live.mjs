// `npm run bench -- live [--json] [--only a,b] [--minutes 10] [--leaky-minutes 1.5] [--parallel 2]`
// Runs real servers and clients under the preload alone; one second counts as a minute. Parts: leaky (kind, delay, root
// cause), fixed and healthy (no alert), real (healthy packages), pairs (packages that leak), repaired, and the runs
// frozen, quiet, nginx and ramp (20 min). `--only` takes parts and names of cases.
import { parseArgs } from 'node:util';
import cases from '../../fixtures/apps/cases.js';
import installer from '../../fixtures/components/install.js';
import components from '../../fixtures/components/start.js';
import lab from '../../fixtures/lab.js';
import real from '../../fixtures/real/start.js';
import { findLeak, formatLeak, formatSilence, staySilent } from './live-runs.mjs';
import { SHOWS } from './live-shows.mjs';

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
const TIME_SCALE = 60;
const only = options.only.split(',').filter(Boolean);
const forMs = Number(options.minutes) * 60_000;
const limitMs = Number(options['leaky-minutes']) * 60_000;
const print = (line) => options.json || console.log(line);
const named = (part, names) =>
  names.filter((name) => only.length === 0 || only.includes(part) || only.includes(name));

/** Runs one task per name, at most `--parallel` at a time. The results are in the order of the names. */
async function pool(names, task) {
  const results = [];
  let next = 0;
  const lane = async () => {
    for (let i = next++; i < names.length; i = next++) results[i] = await task(names[i]);
  };
  await Promise.all(Array.from({ length: Number(options.parallel) }, lane));
  return results;
}

// At an exit the servers and clients are ended too; a signal would leave them.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(1));

await installer.install('redis');
const redis = await components.startComponent('redis');
const own = { timeScale: TIME_SCALE, env: { REDIS_URL: redis.url } };
const startCase = (name, variant) =>
  lab.startCase(name, variant, cases.LEAKS[name] ?? cases.HEALTHY[name], own);
const startReal = (name, variant) => real.startReal(name, variant, own);

const leaks = (part, names, run) =>
  pool(named(part, names), async (name) => {
    const one = await findLeak({ name, limitMs, ...run(name) });
    print(formatLeak(part, one));
    return one;
  });
const silences = (part, names, start) =>
  pool(named(part, names), async (name) => {
    const one = await staySilent({ name, forMs, start: () => start(name) });
    print(formatSilence(part, one));
    return one;
  });

const result = {
  schema: 'wsguard.bench.live/1',
  timeScale: TIME_SCALE,
  silentMinutes: Number(options.minutes),
};
try {
  const ownLeaks = Object.keys(cases.LEAKS);
  const packages = Object.keys(real.PAIRS);
  result.leaky = await leaks('leaky', ownLeaks, (name) => ({
    kinds: cases.LEAKS[name].kinds,
    start: () => startCase(name, 'leaky'),
    lineOf: lab.markedLine,
  }));
  result.pairs = await leaks('pairs', packages, (name) => ({
    kinds: real.PAIRS[name],
    start: () => startReal(name, 'bad'),
  }));
  result.fixed = await silences('fixed', ownLeaks, (name) => startCase(name, 'fixed'));
  result.healthy = await silences('healthy', Object.keys(cases.HEALTHY), (name) =>
    startCase(name, 'healthy'),
  );
  result.repaired = await silences('repaired', packages, (name) => startReal(name, 'fixed'));
  result.real = await silences('real', real.HEALTHY, (name) => startReal(name, 'current'));
  for (const part of named(null, Object.keys(SHOWS)))
    result[part] = [await SHOWS[part]({ silentMs: forMs, print })].flat();
} finally {
  await redis.stop();
}
const all = Object.values(result).filter(Array.isArray).flat();
result.passed = all.filter(({ ok }) => ok).length;
result.failed = all.length - result.passed;
if (options.json) console.log(JSON.stringify(result, null, 1));
print(`${result.passed} passed, ${result.failed} failed, 0 skipped`);
process.exit(result.failed > 0 ? 1 : 0);
