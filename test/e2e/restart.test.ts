/** State in WSGUARD_DIR that the next process finds: samples of a process that was killed, and open alerts. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { endChildren, startChild, type Child } from '../support/child.ts';
import { eventually } from '../support/eventually.ts';
import { alertsOf, alertWhere, LEAK } from '../support/leak.ts';

let dir = '';
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'wsguard-restart-'))));
afterEach(async () => {
  await endChildren();
  rmSync(dir, { recursive: true, force: true });
});

const start = (more = ''): Child =>
  startChild({
    files: { 'main.js': LEAK + more },
    env: { WSGUARD_DIR: dir, WSGUARD_TIME_SCALE: '180', WSGUARD_SNAPSHOT: 'off' },
  });
const isLeak = (kind: string): boolean => kind === 'registry-growth';

test('after a SIGKILL the next process reports process-died and continues the open alert', async () => {
  const first = start();
  const opened = await alertWhere(first, ({ event, kind }) => event === 'opened' && isLeak(kind), dir);
  // The alert is written to open-alerts.json right after it is published.
  await eventually(
    () => readdirSync(dir, { recursive: true }).some((name) => /open-alerts\.json$/.test(String(name))),
    'the file of open alerts',
  );
  first.process.kill('SIGKILL');
  await first.exited;

  const second = start();
  const death = await alertWhere(second, ({ kind }) => kind === 'process-died', dir);
  expect(death).toMatchObject({ event: 'opened', family: 'condition', pid: second.process.pid });
  expect(death.title).toContain(`pid ${first.process.pid}`);
  expect(death.also.map(({ kind }) => kind)).toContain('registry-growth');
  const continued = await alertWhere(
    second,
    ({ id, pid }) => id === opened.id && pid === second.process.pid,
    dir,
  );
  expect(continued).toMatchObject({ event: 'updated', fingerprint: opened.fingerprint });
  expect(alertsOf(second, dir).filter(({ event, kind }) => event === 'opened' && isLeak(kind))).toHaveLength(
    1,
  );
});

test('a process that ends with an exit event is not reported as died, and its open alert continues', async () => {
  const first = start(
    "agent.on('alert', ({ kind }) => kind === 'registry-growth' && setTimeout(() => process.exit(0), 500));",
  );
  const opened = await alertWhere(first, ({ event, kind }) => event === 'opened' && isLeak(kind), dir);
  expect(await first.exited).toEqual({ code: 0, signal: null });

  const second = start();
  await alertWhere(second, ({ id, pid }) => id === opened.id && pid === second.process.pid, dir);
  expect(alertsOf(second, dir).filter(({ kind }) => kind === 'process-died')).toEqual([]);
});

test('the alert of a process that still runs stays with it', async () => {
  const first = start();
  const opened = await alertWhere(first, ({ event, kind }) => event === 'opened' && isLeak(kind), dir);
  const second = start();
  const own = await alertWhere(
    second,
    ({ event, kind, pid }) => event === 'opened' && isLeak(kind) && pid === second.process.pid,
    dir,
  );
  expect(own.id).not.toBe(opened.id);
  expect(alertsOf(second, dir).filter(({ kind }) => kind === 'process-died')).toEqual([]);
});
