// `npm run bench -- simulated [--seeds 40] [--from 1] [--minutes 300] [--only sessions,pool] [--json]`
// Simulated servers with random traffic and counts: the healthy ones must stay silent, and their leaky twins be found.
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { COUNT_NAMES, LEAKING_COUNTS, randomOf, simulate } from './simulated-servers.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const { createDetection } = createRequire(import.meta.url)(join(root, 'dist', 'detection.js'));
const { values: flags } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    seeds: { type: 'string', default: '40' },
    from: { type: 'string', default: '1' },
    minutes: { type: 'string', default: '300' },
    only: { type: 'string' },
  },
});
const minutes = Number(flags.minutes);
const only = flags.only?.split(',') ?? null;
const identity = { service: 's', instance: 'i', host: 'h', pid: 1, worker: null };

/** Every opened alert with its minute. */
function alertsOf(server) {
  let ids = 0;
  const config = { timeScale: 1, mute: [], maxConnections: null };
  const detection = createDetection({ identity, config, newId: () => `id-${(ids += 1)}` });
  const opened = [];
  for (const sample of simulate(server))
    for (const alert of detection.addSample(sample).transitions)
      if (alert.event === 'opened')
        opened.push({ kind: alert.kind, minute: Math.round(sample.atMs / 60_000), title: alert.title });
  return opened;
}

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? null;
const results = {};
for (const count of COUNT_NAMES.filter((name) => only === null || only.includes(name))) {
  const falseAlerts = [];
  const delays = [];
  let leaky = 0;
  for (let i = 0; i < Number(flags.seeds); i += 1) {
    const seed = Number(flags.from) + i + 1000 * COUNT_NAMES.indexOf(count);
    for (const alert of alertsOf({ seed, minutes, count })) falseAlerts.push({ seed, ...alert });
    if (!LEAKING_COUNTS.includes(count)) continue;
    leaky += 1;
    const leak = randomOf(seed).oneOf([1, 1, 0.5, 0.2, 0.1]);
    const [first] = alertsOf({ seed, minutes, count, leak });
    if (first !== undefined) delays.push(first.minute);
  }
  results[count] = {
    servers: Number(flags.seeds),
    falseAlerts,
    ...(leaky === 0 ? {} : { leaky, found: delays.length, medianDelayMinutes: median(delays) }),
  };
  if (!flags.json) {
    const found =
      leaky === 0
        ? ''
        : `, ${delays.length} of ${leaky} leaky twins found, median after ${median(delays)} min`;
    console.log(`${count}: ${falseAlerts.length} false alerts of ${flags.seeds} servers${found}`);
    for (const { seed, kind, minute, title } of falseAlerts)
      console.log(`  ${seed} ${kind} at ${minute} min: ${title}`);
  }
}
if (flags.json) console.log(JSON.stringify({ schema: 'wsguard.bench.simulated/1', minutes, results }));
process.exit(Object.values(results).some(({ falseAlerts }) => falseAlerts.length > 0) ? 1 : 0);
