// `npm run bench -- simulated [--seeds 40] [--from 1] [--minutes 300] [--only sessions,pool] [--json]`
// Simulated servers with random traffic and counts, and with random memory: the healthy ones must stay silent, and the leaky
// ones be found. Leaks of memory are slow: give them `--minutes 480`.
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { HEALTHY_MEMORY, MEMORY_LEAKS, simulateMemory } from './simulated-memory.mjs';
import { HEALTHY_OUTSIDE, OUTSIDE_LEAKS, simulateOutside } from './simulated-outside.mjs';
import { HEALTHY_PEERS, PEER_LEAKS, simulatePeers } from './simulated-peers.mjs';
import { HEALTHY_RAMPS, RAMP_LEAKS, simulateRamp } from './simulated-ramps.mjs';
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
function alertsOf(samples) {
  let ids = 0;
  const config = { timeScale: 1, mute: [], maxConnections: null };
  const detection = createDetection({ identity, config, newId: () => `id-${(ids += 1)}` });
  const opened = [];
  for (const sample of samples)
    for (const alert of detection.addSample(sample).transitions)
      if (alert.event === 'opened')
        opened.push({ kind: alert.kind, minute: Math.round(sample.atMs / 60_000), title: alert.title });
  return opened;
}

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? null;
const results = {};
const isChosen = (name) => only === null || only.includes(name);
const seeds = Array.from({ length: Number(flags.seeds) }, (_, i) => Number(flags.from) + i);

for (const [index, count] of COUNT_NAMES.entries()) {
  if (!isChosen(count)) continue;
  const found = LEAKING_COUNTS.includes(count) ? [] : null;
  const falseAlerts = [];
  for (const each of seeds) {
    const seed = each + 1000 * index;
    for (const alert of alertsOf(simulate({ seed, minutes, count }))) falseAlerts.push({ seed, ...alert });
    if (found === null) continue;
    const leak = randomOf(seed).oneOf([1, 1, 0.5, 0.2, 0.1]);
    found.push(alertsOf(simulate({ seed, minutes, count, leak }))[0]?.minute ?? null);
  }
  report(count, falseAlerts, found);
}

measureMemory(HEALTHY_MEMORY, MEMORY_LEAKS, simulateMemory);
measureMemory(HEALTHY_OUTSIDE, OUTSIDE_LEAKS, simulateOutside);
measureMemory(HEALTHY_PEERS, PEER_LEAKS, simulatePeers);

/** Healthy memory, then leaks of memory. An alert before a leak begins is a false one. */
function measureMemory(healthy, leaks, simulateKind) {
  for (const [index, memory] of healthy.entries()) {
    if (!isChosen(memory)) continue;
    const falseAlerts = seeds.flatMap((each) => {
      const seed = each + 1000 * index;
      return alertsOf(simulateKind({ seed, minutes, memory }).samples).map((alert) => ({ seed, ...alert }));
    });
    report(memory, falseAlerts, null);
  }
  for (const [index, leak] of leaks.entries()) {
    if (!isChosen(leak)) continue;
    const falseAlerts = [];
    const found = seeds.map((each) => {
      const seed = each + 1000 * (healthy.length + index);
      const { onset, samples } = simulateKind({ seed, minutes, leak });
      const alerts = alertsOf(samples);
      falseAlerts.push(...alerts.filter(({ minute }) => minute < onset).map((alert) => ({ seed, ...alert })));
      const first = alerts.find(({ minute }) => minute >= onset);
      return first === undefined ? null : first.minute - onset;
    });
    report(leak, falseAlerts, found);
  }
}

for (const [index, kind] of [...HEALTHY_RAMPS, ...RAMP_LEAKS].entries()) {
  if (!isChosen(kind)) continue;
  const opened = seeds.map((each) => {
    const seed = each + 1000 * index;
    return alertsOf(simulateRamp({ seed, minutes, kind })).map((alert) => ({ seed, ...alert }));
  });
  const isLeaky = RAMP_LEAKS.includes(kind);
  report(kind, isLeaky ? [] : opened.flat(), isLeaky ? opened.map(([first]) => first?.minute ?? null) : null);
}

/** `found`: minutes from the start of each leak to its alert, null for one that is missed. Null without leaky servers. */
function report(name, falseAlerts, found) {
  const delays = found?.filter((minute) => minute !== null) ?? [];
  results[name] = {
    servers: seeds.length,
    falseAlerts,
    ...(found === null
      ? {}
      : { leaky: found.length, found: delays.length, medianDelayMinutes: median(delays) }),
  };
  if (flags.json) return;
  const leaks =
    found === null
      ? ''
      : `, ${delays.length} of ${found.length} leaky ones found, median after ${median(delays)} min`;
  console.log(`${name}: ${falseAlerts.length} false alerts of ${seeds.length} servers${leaks}`);
  for (const { seed, kind, minute, title } of falseAlerts)
    console.log(`  ${seed} ${kind} at ${minute} min: ${title}`);
}
if (flags.json) console.log(JSON.stringify({ schema: 'wsguard.bench.simulated/1', minutes, results }));
process.exit(Object.values(results).some(({ falseAlerts }) => falseAlerts.length > 0) ? 1 : 0);
