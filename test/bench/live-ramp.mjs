// The run `ramp` of the live benchmark: connections climb from 30 to 2,000 in a straight line for four scaled hours, with
// listeners, rooms, a registry and sessions of 30 min. The healthy servers must stay silent; in the leaky ones every tenth
// connection leaves a listener or a socket, and the rate of the alert must be right to 10 %.
import { fork } from 'node:child_process';
import { join } from 'node:path';
import lab from '../../fixtures/lab.js';

const TIME_SCALE = 60;
const HOURS = 4;
const LIFE_S = HOURS * 60;
const LEAK_SHARE = 0.1;
const TOLERANCE = 0.1;
const recorder = join(lab.ROOT, 'fixtures', 'traces', 'recorder');

const load = {
  profile: 'ramp',
  from: 30,
  n: 2000,
  overS: LIFE_S,
  churnPerS: 10,
  messagesPerS: 0.02,
  messageBytes: 60,
  isRandom: true,
};
const common = { load, onsetMs: 0, stateItems: 4, echo: false };
const healthyBehaviours = ['moreListeners', 'ownRooms', 'grace'];

/** `kind`: null for a server that must stay silent. */
const CASES = [
  ...[1, 3, 10].map((listenersPerEvent) => ({
    name: `${listenersPerEvent} listeners a connection`,
    kind: null,
    options: { ...common, behaviours: healthyBehaviours, events: 1, listenersPerEvent, graceS: 30 },
  })),
  {
    name: 'every tenth connection leaves a listener',
    kind: 'listener-accumulation',
    options: {
      ...common,
      behaviours: ['moreListeners', 'ownRooms'],
      events: 3,
      leaksOneEvent: true,
      leakShare: LEAK_SHARE,
    },
  },
  {
    name: 'every tenth connection leaves a socket',
    kind: 'resource-growth',
    options: { ...common, behaviours: ['upstream', 'ownRooms'], leaksUpstream: true, leakShare: LEAK_SHARE },
  },
];

async function runCase({ name, kind, options }, print) {
  const args = [JSON.stringify(options)];
  const app = await lab.startApp(join(recorder, 'server.mjs'), { timeScale: TIME_SCALE, args });
  const clients = fork(join(recorder, 'clients.mjs'), [...args, String(app.port)], { stdio: 'ignore' });
  try {
    const until = app.startedMs + LIFE_S * 1000;
    while (Date.now() < until && app.over() === null) await lab.sleep(1000);
    const opened = app
      .opened()
      .map((alert) => ({ kind: alert.kind, title: alert.title, afterS: alert.seenAfterMs / 1000 }));
    const alert = app.alerts().find((one) => one.kind === kind);
    const rate = alert?.evidence.find((one) => one.name === 'leaked_per_closed_connection')?.value ?? null;
    const isRight = rate !== null && Math.abs(rate - LEAK_SHARE) <= TOLERANCE * LEAK_SHARE;
    const ok = app.over() === null && (kind === null ? opened.length === 0 : isRight);
    print(
      `${ok ? 'ok  ' : 'FAIL'} ramp    ${name}: ${kind === null ? '' : `rate ${rate}, `}${JSON.stringify(opened)}`,
    );
    return { name: `ramp, ${name}`, ok, rate, opened, died: app.over() };
  } finally {
    clients.kill('SIGKILL');
    await app.stop();
  }
}

/** One after the other: 2,000 connections need a core. */
export async function ramp({ print }) {
  const results = [];
  for (const each of CASES) results.push(await runCase(each, print));
  return results;
}
