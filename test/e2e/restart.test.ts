/** State in WSGUARD_DIR that the next process finds: samples of a process that was killed, and open alerts. */
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Alert } from '../../src/types/index.ts';
import { AGENT, endChildren, onTrigger, removeFolder, startChild, type Child } from '../support/child.ts';
import { eventually } from '../support/eventually.ts';
import { alertsOf, alertWhere, LEAK } from '../support/leak.ts';

let dir = '';
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'wsguard-restart-'))));
afterEach(async () => {
  await endChildren();
  removeFolder(dir);
});

const start = (more = ''): Child =>
  startChild({
    files: { 'main.js': LEAK + more },
    env: { WSGUARD_DIR: dir, WSGUARD_TIME_SCALE: '180', WSGUARD_SNAPSHOT: 'off' },
  });
const isLeak = (kind: string): boolean => kind === 'registry-growth';
/** The alert is written to open-alerts.json right after it is published. */
const untilStored = ({ id }: Alert): Promise<unknown> =>
  eventually(
    () =>
      readdirSync(dir, { recursive: true, encoding: 'utf8' }).some(
        (name) => name.endsWith('open-alerts.json') && readFileSync(join(dir, name), 'utf8').includes(id),
      ),
    'the alert in the file of open alerts',
  );

test('after a SIGKILL the next process reports process-died and continues the open alert', async () => {
  const first = start();
  const opened = await alertWhere(first, ({ event, kind }) => event === 'opened' && isLeak(kind), dir);
  await untilStored(opened);
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
  const first = start(onTrigger('exit', 'process.exit(0);'));
  const opened = await alertWhere(first, ({ event, kind }) => event === 'opened' && isLeak(kind), dir);
  await untilStored(opened);
  first.trigger('exit');
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

/** Listens, and fills its heap with 100 MiB at once. */
const BURST = `
const held = (globalThis.held = []);
require('node:http').createServer().listen(0);
${onTrigger('burst', 'for (let n = 0; n < 100; n += 1) held.push(Array.from({ length: 131_072 }, () => n));')}
`;

test('memory that a process took after its last sample is told by the next one, with the curve in the report', async () => {
  const startBurst = (): Child =>
    startChild({
      nodeArgs: ['--require', AGENT],
      files: { 'main.js': BURST },
      env: { WSGUARD_DIR: dir, WSGUARD_INTERVAL_MS: '300000' },
    });
  const first = startBurst();
  const linesOf = (name: string): string[] =>
    readdirSync(dir, { recursive: true })
      .map(String)
      .filter((file) => file.endsWith(name))
      .flatMap((file) => readFileSync(join(dir, file), 'utf8').trim().split('\n'));
  const pointsMib = (of: 'rssBytes' | 'heapUsedBytes'): number[] =>
    linesOf('last-minute.ndjson')
      .filter((line) => line.trim().startsWith('{'))
      .map((line) => (JSON.parse(line) as Record<typeof of, number>)[of] / 1024 ** 2);
  const riseMib = (of: 'rssBytes' | 'heapUsedBytes'): number =>
    Math.max(...pointsMib(of)) - Math.min(...pointsMib(of));
  await eventually(
    () => linesOf('box-0.ndjson').length > 0 && pointsMib('rssBytes').length > 10,
    'a sample and some points',
  );
  const samples = linesOf('box-0.ndjson').length;
  first.trigger('burst');
  await eventually(() => riseMib('rssBytes') > 90, 'points of the burst');
  // With the next heartbeat the size of the heap is there too.
  await eventually(() => riseMib('heapUsedBytes') > 90, 'the heap of the burst');
  first.process.kill('SIGKILL');
  await first.exited;
  expect(linesOf('box-0.ndjson').length).toBe(samples);

  const second = startBurst();
  const death = await alertWhere(second, ({ kind }) => kind === 'process-died', dir);
  expect(death.title).toMatch(/its heap rose (?:9|1\d)\d[.\d]* MiB in the last/);
  const report = JSON.parse(readFileSync(join(dir, death.report ?? ''), 'utf8')) as {
    samples: { rssBytes: number }[];
  };
  expect(report.samples.length).toBeGreaterThan(10);
});
