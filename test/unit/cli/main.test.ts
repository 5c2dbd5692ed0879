import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import type { CliIo } from '../../../src/cli/command.ts';
import { main } from '../../../src/cli/main.ts';
import { alertOf } from '../../support/alerts.ts';
import { onLinux } from '../../support/platform.ts';

afterEach(() => void jest.restoreAllMocks());

function open(env: CliIo['env'] = {}) {
  const text = { out: '', err: '' };
  const io: CliIo = {
    out: (piece) => void (text.out += piece),
    err: (piece) => void (text.err += piece),
    stdin: new PassThrough(),
    env,
    cwd: '/',
  };
  return { io, text };
}

test('help lists every command with an example', async () => {
  const { io, text } = open();
  expect(await main(['--help'], io)).toBe(0);
  for (const name of ['analyse', 'procedure', 'replay', 'redact', 'config', 'doctor']) {
    expect(text.out).toMatch(new RegExp(`^  ${name} +\\S`, 'm'));
  }
  expect(text.err).toBe('');
});

test.each([['analyse'], ['analyze'], ['procedure'], ['replay'], ['redact'], ['config'], ['doctor']])(
  '%s --help and help %s print usage and examples',
  async (name) => {
    const [flag, word] = [open(), open()];
    expect(await main([name, '--help'], flag.io)).toBe(0);
    expect(await main(['help', name], word.io)).toBe(0);
    expect(flag.text.out).toBe(word.text.out);
    expect(flag.text.out).toContain('Examples:');
  },
);

test('wrong use is exit code 2 with the usage on stderr', async () => {
  for (const argv of [
    [],
    ['cofnig'],
    ['config', '--jsn'],
    ['doctor', '--pid', '0'],
    ['redact'],
    ['replay'],
    ['procedure'],
    ['procedure', 'start', 'loaded'],
    ['procedure', 'start', '-', 'drained'],
    ['procedure', '--save', ''],
    ['procedure', '--save', 'snapshots'],
    ['procedure', '--save', 'snapshots', '--', 'npm', 'start'],
  ]) {
    const { io, text } = open();
    expect(await main(argv, io)).toBe(2);
    expect(text.out).toBe('');
    expect(text.err).toContain('wsguard');
  }
  const { io, text } = open();
  await main(['cofnig'], io);
  expect(text.err).toContain('did you mean config?');
});

test('a failure is exit code 3 with a code and a hint', async () => {
  const { io, text } = open();
  expect(await main(['analyse', '/nowhere.heapsnapshot'], io)).toBe(3);
  expect(text.err).toMatch(/^WSGUARD_[A-Z_]+: .+\n {2}\S/m);
});

test('an unexpected error is exit code 3, never 1', async () => {
  const { io, text } = open();
  const broken = {
    ...io,
    out: () => {
      throw new Error('bug');
    },
  };
  expect(await main(['config'], broken)).toBe(3);
  expect(text.err).toMatch(/^WSGUARD_UNEXPECTED: Error: bug/);
});

test('config prints values, sources and problems, and hides secrets', async () => {
  const { io, text } = open({
    WSGUARD_INTERVAL_MS: '5000',
    WSGUARD_WEBHOOK_URL: 'https://hunter2@example.org/',
    WSGUARD_THREAD: 'sometimes',
  });
  expect(await main(['config', '--json'], io)).toBe(0);
  const { schema, settings, problems } = JSON.parse(text.out) as {
    schema: string;
    settings: { env: string; value: unknown; source: string }[];
    problems: { setting: string }[];
  };
  expect(schema).toBe('wsguard.config/1');
  expect(settings).toContainEqual({
    setting: 'intervalMs',
    env: 'WSGUARD_INTERVAL_MS',
    value: 5000,
    source: 'env',
  });
  expect(problems.map(({ setting }) => setting)).toEqual(['WSGUARD_THREAD']);
  const plain = open(io.env);
  await main(['config'], plain.io);
  expect(plain.text.out).toMatch(/^WSGUARD_INTERVAL_MS +5000 +env$/m);
  expect(plain.text.out).toContain(
    '! WSGUARD_THREAD (env): sometimes is ignored, expected one of auto, on, off',
  );
  expect(text.out + plain.text.out).not.toContain('hunter2');
});

test('doctor finds no snapshots possible where the directory cannot be written', async () => {
  const { io, text } = open({ WSGUARD_DIR: __filename });
  await main(['doctor', '--json'], io);
  const { checks } = JSON.parse(text.out) as { checks: { what: string; works: string; detail: string }[] };
  expect(checks.filter(({ what }) => ['directory', 'snapshots'].includes(what))).toEqual([
    { what: 'directory', works: 'no', detail: expect.stringContaining('WSGUARD_DIR_UNWRITABLE') },
    { what: 'snapshots', works: 'no', detail: 'not possible without a writable directory' },
  ]);
});

test.each([
  [0, ['no', 'no'], /WSGUARD_DISK_FULL: .*; 0 B free; free disk space, or set WSGUARD_DIR/],
  [50, ['yes', 'no'], /; 50\.0 MiB free$/],
  [100, ['yes', 'yes'], /; 100 MiB free$/],
])('doctor says what a disk with %d MiB free has room for', async (freeMib, works, directory) => {
  const statfs = Object.assign(fs.statfsSync('/'), { bavail: freeMib, bsize: 1024 ** 2 });
  jest.spyOn(fs, 'statfsSync').mockReturnValue(statfs);
  const { io, text } = open({ WSGUARD_DIR: __dirname, WSGUARD_SNAPSHOT: 'inprocess' });
  await main(['doctor', '--json'], io);
  const { checks } = JSON.parse(text.out) as { checks: { what: string; works: string; detail: string }[] };
  const onDisk = checks.filter(({ what }) => ['directory', 'snapshots'].includes(what));
  expect(onDisk.map((row) => row.works)).toEqual(works);
  expect(onDisk[0]?.detail).toMatch(directory);
});

test('doctor says that a time scale is for tests', async () => {
  const { io, text } = open({ WSGUARD_TIME_SCALE: '60' });
  await main(['doctor'], io);
  expect(text.out).toMatch(/^partly time scale +WSGUARD_TIME_SCALE is 60: .* for tests and demos only$/m);
});

onLinux('doctor --pid has the open alerts of the process, with their reports', async () => {
  const dir = fs.mkdtempSync(join(tmpdir(), 'wsguard-doctor-'));
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { env: { WSGUARD_DIR: dir } });
  try {
    await once(child, 'spawn');
    const line = (id: string, event: 'opened' | 'closed', pid = child.pid ?? 0): string =>
      `${JSON.stringify(alertOf({ id, event, pid, title: 'Registry grows' }))}\n`;
    const doctor = async (): Promise<string> => {
      const { io, text } = open();
      await main(['doctor', '--pid', String(child.pid)], io);
      return /^.*open alert.*$/m.exec(text.out)?.[0] ?? '';
    };
    expect(await doctor()).toMatch(/^ok +open alerts +none: no alert was written$/);
    fs.writeFileSync(join(dir, 'alerts.ndjson'), line('other', 'opened', 1) + line('a1', 'opened'));
    expect(await doctor()).toMatch(
      new RegExp(`^NO +open alert .*: Registry grows; read ${dir}/\\S*a1/report\\.txt$`),
    );
    fs.appendFileSync(join(dir, 'alerts.ndjson'), line('a1', 'closed'));
    expect(await doctor()).toMatch(/^ok +open alerts +none of this process$/);
  } finally {
    child.kill('SIGKILL');
    fs.rmSync(dir, { recursive: true });
  }
});

test('doctor prints what works and why something does not', async () => {
  const { io, text } = open({
    WSGUARD_DIR: '/proc/none',
    WSGUARD_SNAPSHOT: 'off',
    OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1',
    OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
    WSGUARD_SPIL: 'off',
  });
  expect(await main(['doctor', '--json'], io)).toBe(0);
  const { checks, problems } = JSON.parse(text.out) as {
    checks: { what: string; works: string; detail: string }[];
    problems: { setting: string }[];
  };
  const of = (what: string) => checks.find((check) => check.what === what);
  expect(of('node')?.works).toBe('yes');
  expect(of('snapshots')).toMatchObject({ works: 'off' });
  expect(of('OpenTelemetry')).toMatchObject({ works: 'no' });
  expect(of('OpenTelemetry')?.detail).toContain('WSGUARD_OTLP_PROTOCOL');
  expect(problems.map(({ setting }) => setting)).toEqual(['WSGUARD_SPIL']);
});

test.each([
  [{}, 'off', 'WSGUARD_S3_BUCKET is not set'],
  [{ WSGUARD_S3_BUCKET: 'snapshots' }, 'no', 'WSGUARD_S3_NO_CREDENTIALS'],
  [
    { WSGUARD_S3_BUCKET: 'snapshots', AWS_ACCESS_KEY_ID: 'hunter1', AWS_SECRET_ACCESS_KEY: 'hunter2' },
    'yes',
    'bucket snapshots, credentials of the AWS variables; redacted files only',
  ],
])('doctor says whether it finds credentials for S3', async (env, works, detail) => {
  const { io, text } = open({ WSGUARD_DIR: '/proc/none', WSGUARD_SNAPSHOT: 'off', ...env });
  await main(['doctor', '--json'], io);
  const { checks } = JSON.parse(text.out) as { checks: { what: string }[] };
  expect(checks.find(({ what }) => what === 'S3')).toMatchObject({
    works,
    detail: expect.stringContaining(detail) as string,
  });
  expect(text.out).not.toContain('hunter');
});
