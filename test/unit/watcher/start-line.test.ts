import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CaptureHistory } from '../../../src/capture/capture-history.ts';
import { BlindLog, logStart } from '../../../src/watcher/start-line.ts';
import { createTestContext } from '../../support/watcher-context.ts';

const ATTACHED = { servers: ['http on port 3000', 'https on port 3443'], pings: true, blind: [] };
const NO_OUTLETS = { destinations: [], failedExports: [], unwritableReason: null };

test('the start line names servers, directory, exports and pings', () => {
  const context = createTestContext({ service: 'chat' });
  logStart(context, ATTACHED, {
    ...NO_OUTLETS,
    destinations: ['prometheus http://127.0.0.1:9464/metrics', 'webhook'],
  });
  expect(context.logged).toHaveLength(1);
  expect(context.logged[0]).toMatchObject({
    level: 'info',
    fields: {
      servers: ATTACHED.servers,
      cannotSee: [],
      writesTo: '/app/.wsguard',
      exports: ['prometheus http://127.0.0.1:9464/metrics', 'webhook'],
      pings: true,
    },
  });
  expect(context.logged[0]?.message).toMatch(
    /^watching .+: http on port 3000, https on port 3443; writes to \/app\/\.wsguard; exports to prometheus http:\/\/127\.0\.0\.1:9464\/metrics, webhook; pings silent WebSocket connections; heap snapshots in a forked process$/,
  );
});

test('the start line names an export that could not start, with its code', () => {
  const context = createTestContext();
  const failedExports = ['otlp (WSGUARD_OTLP_PROTOCOL: grpc needs two packages)'];
  logStart(context, ATTACHED, { ...NO_OUTLETS, failedExports });
  expect(context.logged[0]?.fields).toMatchObject({ exports: [], failedExports });
  expect(context.logged[0]?.message).toContain(
    '; exports nothing; cannot export to otlp (WSGUARD_OTLP_PROTOCOL: grpc needs two packages); ',
  );
});

test('the start line promises no snapshots where no file can be written', () => {
  const context = createTestContext();
  logStart(context, ATTACHED, { ...NO_OUTLETS, unwritableReason: 'it failed with WSGUARD_DIR_UNWRITABLE' });
  expect(context.logged[0]?.message).toContain(
    'heap snapshots are not possible without a writable directory',
  );
});

test('the start line names everything that the agent cannot see, and why', () => {
  const context = createTestContext(
    { timeScale: 60 },
    {
      noFilesReason: '--permission needs --allow-fs-write for its directory',
      noThreadReason: 'WSGUARD_THREAD=off',
    },
  );
  const blind = [{ what: 'HTTP/2 streams', why: 'only HTTP/1 connections are counted' }];
  logStart(context, { servers: [], pings: false, blind }, NO_OUTLETS);
  const [entry] = context.logged;
  const message = entry?.message ?? '';
  expect(entry?.fields['cannotSee']).toEqual([
    'HTTP/2 streams: only HTTP/1 connections are counted',
    'a blocked loop: no watcher thread: WSGUARD_THREAD=off',
  ]);
  expect(entry?.fields['writesTo']).toBeNull();
  for (const text of [
    'no server listens yet',
    'cannot see HTTP/2 streams: only HTTP/1 connections are counted',
    'writes no files, because --permission needs --allow-fs-write',
    'exports nothing',
    'sends no pings',
    'time scale 60, for tests and demos only',
  ])
    expect(message).toContain(text);
});

test('the start line says that snapshots are refused, and why', () => {
  const noChildReason = 'the application is a single executable';
  const context = createTestContext({}, { noChildReason });
  logStart(context, ATTACHED, NO_OUTLETS);
  expect(context.logged[0]?.message).toContain(`heap snapshots are refused, because ${noChildReason}`);
  const unredacted = createTestContext({ redact: 'off' }, { noChildReason });
  logStart(unredacted, ATTACHED, NO_OUTLETS);
  expect(unredacted.logged[0]?.message).toContain('heap snapshots in a forked process');
});

test('the start line says that this version of Node is not forked any more, and how to try again', () => {
  const dir = mkdtempSync(join(tmpdir(), 'wsguard-start-line-'));
  const history = new CaptureHistory(dir, { wallMs: () => 0 });
  for (let crash = 0; crash < 2; crash += 1) history.addCrash('signal 11');
  const context = createTestContext({ dir }, { isDirSet: true });
  logStart(context, ATTACHED, NO_OUTLETS);
  expect(context.logged[0]?.message).toContain(
    `heap snapshots in the process, because 2 forked captures in a row failed: signal 11; delete ${dir}/captures.json to try again`,
  );
  rmSync(dir, { recursive: true });
});

test('a restarted watcher logs its restart instead', () => {
  const context = createTestContext({}, { restarts: 2 });
  logStart(context, ATTACHED, NO_OUTLETS);
  expect(context.logged).toMatchObject([
    { level: 'warn', fields: { code: 'WSGUARD_WATCHER_DIED', restarts: 2 } },
  ]);
});

test('after a failed write the start line does not say that the agent writes there', () => {
  const context = createTestContext({});
  const unwritableReason = 'it failed with WSGUARD_DIR_UNWRITABLE (/app/.wsguard: EACCES)';
  logStart(context, ATTACHED, { ...NO_OUTLETS, unwritableReason });
  expect(context.logged[0]?.fields['writesTo']).toBeNull();
  expect(context.logged[0]?.message).toContain(
    'writes no files, because it failed with WSGUARD_DIR_UNWRITABLE (/app/.wsguard: EACCES)',
  );
});

test('what the agent cannot see later is logged once, and what the start line has is not repeated', () => {
  const context = createTestContext({});
  const log = new BlindLog(context);
  const early = { what: 'HTTP/2 streams', why: 'only HTTP/1 connections are counted' };
  const late = { what: 'whether peers of long polling respond', why: 'long polling has no ping' };
  log.update([late]);
  log.start([early]);
  log.update([early]);
  expect(context.logged).toEqual([]);
  log.update([early, late]);
  log.update([early, late]);
  expect(context.logged.map(({ message }) => message)).toEqual([
    'cannot see whether peers of long polling respond: long polling has no ping',
  ]);
});
