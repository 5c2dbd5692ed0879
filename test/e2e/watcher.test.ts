/** The watcher thread in real processes: what it tells while the application is stuck, dies, or may have no thread. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Status } from '../../src/types/index.ts';
import { AGENT, blocksWhenTold, endAll, startChild, until, type Child } from '../support/child.ts';
import { alertWhere, LEAK } from '../support/leak.ts';
import { expectValid } from '../support/schemas.ts';

afterEach(endAll);

const PRELOAD = { nodeArgs: ['--require', AGENT] };
const SERVER = `
const http = require('node:http');
const server = http.createServer((request, response) => response.end('ok'));
server.listen(0, () => console.log('listening ' + server.address().port));
`;
const WATCHING = /^watching /;
const page = async (child: Child): Promise<string> => {
  const line = await child.said(WATCHING);
  const [url] = (line['exports'] as string[]).flatMap((said) => /prometheus (\S+)/.exec(said)?.[1] ?? []);
  if (url === undefined) throw new Error(`no page in ${JSON.stringify(line)}`);
  return url;
};
test('a blocked application still answers /metrics, and the block is an alert that closes again', async () => {
  const child = startChild({
    files: { 'main.js': SERVER + blocksWhenTold() },
    env: { WSGUARD_PROMETHEUS_PORT: '0' },
    ...PRELOAD,
  });
  const url = await page(child);
  child.tell('block');
  await child.printed(/blocking/);
  const text = await (await fetch(url)).text();
  expect(text).toMatch(/^wsguard_heap_used_bytes [1-9]/m);
  const opened = await alertWhere(child, ({ event }) => event === 'opened');
  expect(child.stdout()).not.toMatch(/free/);
  expect(opened).toMatchObject({ kind: 'blocked-loop', family: 'condition', severity: 'critical' });
  child.tell('free');
  await child.printed(/free/);
  const closed = await alertWhere(child, ({ event }) => event === 'closed');
  expect(closed.id).toBe(opened.id);
});

test('a watcher that dies is started again three times, then given up; the application runs on', async () => {
  const kill = `process.on('worker', (worker) => {
    console.log('a watcher');
    worker.on('online', () => setTimeout(() => worker.terminate(), 50));
  });`;
  const child = startChild({ files: { 'main.js': kill + SERVER }, ...PRELOAD });
  await child.said(/is not restarted/);
  expect(child.stdout().match(/a watcher/g)).toHaveLength(4);
  expect(child.lines().some(({ code }) => code === 'WSGUARD_WATCHER_DIED')).toBe(true);
  const [, port] = await child.printed(/listening (\d+)/);
  expect(await (await fetch(`http://127.0.0.1:${port}`)).text()).toBe('ok');
});

test('an alert survives the watcher that opened it', async () => {
  const kill = `
    let first = null;
    process.on('worker', (worker) => (first ??= worker));
    agent.on('alert', ({ event }) => event === 'opened' && setTimeout(() => first.terminate(), 500));
    setInterval(() => agent.status().then((status) => console.log('STATUS ' + JSON.stringify(status))), 300);`;
  const child = startChild({
    files: { 'main.js': `let agent; ${LEAK.replace('const agent', 'agent')} ${kill}` },
    env: { WSGUARD_TIME_SCALE: '180', WSGUARD_SNAPSHOT: 'off' },
  });
  const opened = await alertWhere(child, ({ event }) => event === 'opened');
  await child.said(/runs again/);
  const after = child.stdout().length;
  const status = await until(
    () => {
      const said = child.stdout().slice(after).split('\n');
      const found = said.filter((line) => line.startsWith('STATUS ') && line.endsWith('}'));
      return found.map((line) => JSON.parse(line.slice(7)) as Status).find(({ alerts }) => alerts.length > 0);
    },
    () => child.stdout().slice(after),
  );
  expect(status.alerts.map(({ id }) => id)).toEqual([opened.id]);
});

test.each([
  ['WSGUARD_THREAD=off', { WSGUARD_THREAD: 'off' }],
  ['a thread', {}],
])(
  'with %s a leak on a real ws server ends in an alert, a report and a refusal that is explained',
  async (_, env) => {
    const child = startChild({
      files: { 'main.js': LEAK },
      env: { ...env, WSGUARD_TIME_SCALE: '180', WSGUARD_PAUSE_BUDGET_MS: '1', WSGUARD_PROMETHEUS_PORT: '0' },
    });
    const opened = await alertWhere(child, ({ event }) => event === 'opened');
    expect(opened).toMatchObject({
      kind: 'registry-growth',
      subject: 'clients',
      timeScale: 180,
      culprit: null,
    });
    const updated = await alertWhere(child, ({ snapshots }) => snapshots.length > 0);
    expect(updated.snapshots[0]).toMatchObject({
      outcome: 'refused',
      reason: expect.stringMatching(/budget/) as string,
    });
    expect(updated.culpritBecause).toMatch(/no snapshot/);
    const report = join(child.cwd, '.wsguard', opened.report ?? '');
    expect(expectValid('report', JSON.parse(readFileSync(report, 'utf8')))).toMatchObject({
      schema: 'wsguard.report/1',
    });
    expect(readFileSync(report.replace('.json', '.txt'), 'utf8')).toMatch(/clients/);
    const metrics = await (await fetch(await page(child))).text();
    expect(metrics).toMatch(/^wsguard_alert_active\{kind="registry-growth"\} 1$/m);
  },
);
