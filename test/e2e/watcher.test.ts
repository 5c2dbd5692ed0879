/** The watcher in real processes: while the application is blocked, when its thread dies, and without a thread. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Alert, Status } from '../../src/types/index.ts';
import { AGENT, blockOnTrigger, endChildren, startChild, until, type Child } from '../support/child.ts';
import { alertWhere, LEAK } from '../support/leak.ts';
import { expectValid } from '../support/schemas.ts';

afterEach(endChildren);

const PRELOAD = { nodeArgs: ['--require', AGENT] };
const SERVER = `
const http = require('node:http');
const server = http.createServer((request, response) => response.end('ok'));
server.listen(0, () => console.log('listening ' + server.address().port));
`;
const WATCHING = /^watching /;
/** A busy machine can cause alerts of other kinds, such as loop-lag. */
const LEAK_KIND = 'registry-growth';
const isOpenedLeak = ({ event, kind }: Pick<Alert, 'event' | 'kind'>): boolean =>
  event === 'opened' && kind === LEAK_KIND;

const metricsUrl = async (child: Child): Promise<string> => {
  const line = await child.logLine(WATCHING);
  const [url] = (line['exports'] as string[]).flatMap((name) => /prometheus (\S+)/.exec(name)?.[1] ?? []);
  if (url === undefined) throw new Error(`no metrics page in ${JSON.stringify(line)}`);
  return url;
};

test('/metrics works while the application is blocked, and the block is an alert that closes', async () => {
  const child = startChild({
    files: { 'main.js': SERVER + blockOnTrigger() },
    env: { WSGUARD_PROMETHEUS_PORT: '0' },
    ...PRELOAD,
  });
  const url = await metricsUrl(child);
  child.trigger('block');
  await child.stdoutMatch(/blocking/);
  const text = await (await fetch(url)).text();
  expect(text).toMatch(/^wsguard_heap_used_bytes [1-9]/m);
  const opened = await alertWhere(child, ({ event, kind }) => event === 'opened' && kind === 'blocked-loop');
  expect(child.stdout()).not.toMatch(/free/);
  expect(opened).toMatchObject({ family: 'condition', severity: 'critical' });
  child.trigger('free');
  await child.stdoutMatch(/free/);
  await alertWhere(child, ({ event, id }) => event === 'closed' && id === opened.id);
});

test('a watcher thread that dies is restarted three times, then it pauses; the application keeps running', async () => {
  const kill = `process.on('worker', (worker) => {
    console.log('a watcher');
    worker.on('online', () => setTimeout(() => worker.terminate(), 50));
  });`;
  const child = startChild({ files: { 'main.js': kill + SERVER }, ...PRELOAD });
  await child.logLine(/starts again in 10 min/);
  expect(child.stdout().match(/a watcher/g)).toHaveLength(4);
  expect(child.logLines().some(({ code }) => code === 'WSGUARD_WATCHER_DIED')).toBe(true);
  const [, port] = await child.stdoutMatch(/listening (\d+)/);
  expect(await (await fetch(`http://127.0.0.1:${port}`)).text()).toBe('ok');
});

test('an alert survives the watcher that opened it', async () => {
  const kill = `
    let first = null;
    process.on('worker', (worker) => (first ??= worker));
    agent.on('alert', ({ event, kind }) =>
      event === 'opened' && kind === '${LEAK_KIND}' && setTimeout(() => first.terminate(), 500));
    setInterval(() => agent.status().then((status) => console.log('STATUS ' + JSON.stringify(status))), 300);`;
  const child = startChild({
    files: { 'main.js': `let agent; ${LEAK.replace('const agent', 'agent')} ${kill}` },
    env: { WSGUARD_TIME_SCALE: '180', WSGUARD_SNAPSHOT: 'off' },
  });
  const opened = await alertWhere(child, isOpenedLeak);
  await child.logLine(/runs again/);
  const after = child.stdout().length;
  const status = await until(
    () => {
      const output = child.stdout().slice(after).split('\n');
      const lines = output.filter((line) => line.startsWith('STATUS ') && line.endsWith('}'));
      return lines
        .map((line) => JSON.parse(line.slice(7)) as Status)
        .find(({ alerts }) => alerts.some(({ kind }) => kind === LEAK_KIND));
    },
    () => child.stdout().slice(after),
  );
  const leaks = status.alerts.filter(({ kind }) => kind === LEAK_KIND);
  expect(leaks.map(({ id }) => id)).toEqual([opened.id]);
});

test.each([
  ['WSGUARD_THREAD=off', { WSGUARD_THREAD: 'off' }],
  ['a thread', {}],
])(
  'with %s a leak on a real ws server opens an alert with a report and the reason for the refused snapshot',
  async (_, env) => {
    const child = startChild({
      files: { 'main.js': LEAK },
      env: { ...env, WSGUARD_TIME_SCALE: '180', WSGUARD_PAUSE_BUDGET_MS: '1', WSGUARD_PROMETHEUS_PORT: '0' },
    });
    const opened = await alertWhere(child, isOpenedLeak);
    expect(opened).toMatchObject({
      subject: 'clients',
      timeScale: 180,
      culprit: null,
    });
    const updated = await alertWhere(child, ({ id, snapshots }) => id === opened.id && snapshots.length > 0);
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
    const metrics = await (await fetch(await metricsUrl(child))).text();
    expect(metrics).toMatch(/^wsguard_alert_active\{kind="registry-growth"\} 1$/m);
  },
);
