import { execFile, spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '../support/eventually.ts';
import { asRoot, onLinux } from '../support/platform.ts';

const ROOT = join(__dirname, '..', '..');
const CLI = join(ROOT, 'dist', 'cli', 'main.js');

const wsguard = (...args: string[]) =>
  new Promise<{ code: number; out: string; err: string }>((resolve) => {
    execFile(process.execPath, [CLI, ...args], (error, out, err) =>
      resolve({ code: error === null ? 0 : Number(error.code), out, err }),
    );
  });

test('the built command prints its version and returns its exit codes', async () => {
  expect(await wsguard('--version')).toMatchObject({
    code: 0,
    out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
  });
  expect(await wsguard('nonsense')).toMatchObject({ code: 2, out: '' });
  expect(await wsguard('analyse', '/nowhere')).toMatchObject({ code: 3, out: '' });
});

test('a reader may close the pipe early', async () => {
  const child = spawn('sh', [
    '-c',
    `"${process.execPath}" "${CLI}" config | head -c 1 >/dev/null; echo done`,
  ]);
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk) => (out += chunk));
  child.stderr.on('data', (chunk) => (err += chunk));
  await eventually(() => out.includes('done'), 'the pipe');
  expect(err).toBe('');
});

onLinux('an output that cannot be written is exit code 3, never 1', async () => {
  const child = spawn(process.execPath, [CLI, 'config'], {
    stdio: ['ignore', openSync('/dev/full', 'w'), 'pipe'],
  });
  let err = '';
  child.stderr?.on('data', (chunk) => (err += chunk));
  const code = await new Promise((resolve) => child.on('close', resolve));
  expect(code).toBe(3);
  expect(err).toContain('WSGUARD_');
});

onLinux('doctor --pid checks the program, ports and settings of a process', async () => {
  const server = spawn(
    process.execPath,
    [
      '-e',
      "require('http').createServer().listen(0, '127.0.0.1', function () { console.log(this.address().port) })",
      '--',
      '--password=hunter2',
    ],
    { env: { WSGUARD_INTERVAL_MS: 'never', NODE_OPTIONS: '' } },
  );
  try {
    let port = '';
    server.stdout.on('data', (chunk) => (port += chunk));
    await eventually(() => port.includes('\n'), 'the server to listen');
    const { code, out } = await wsguard('doctor', '--pid', String(server.pid), '--json');
    expect(code).toBe(0);
    expect(out).not.toContain('hunter2');
    const { checks, problems } = JSON.parse(out) as {
      checks: { what: string; works: string; detail: string }[];
      problems: { setting: string }[];
    };
    const of = (what: string) => checks.find((check) => check.what === what);
    expect(of('serves')?.detail).toContain(`TCP ${port.trim()}`);
    expect(of('program')?.detail).toContain(`Node ${process.versions.node}`);
    expect(of('agent')?.works).toBe('unknown');
    expect(problems.map(({ setting }) => setting)).toEqual(['WSGUARD_INTERVAL_MS']);
  } finally {
    server.kill('SIGKILL');
  }
  expect(await wsguard('doctor', '--pid', '4194304')).toMatchObject({
    code: 3,
    err: expect.stringContaining('WSGUARD_DOCTOR_PID'),
  });
});

asRoot(
  'doctor --pid reads no file that the user of the process may not read, and escapes what it prints',
  async () => {
    const dir = mkdtempSync(join(tmpdir(), 'wsguard-doctor-'));
    try {
      chmodSync(dir, 0o777);
      const secret = join(dir, 'root-only.json');
      writeFileSync(secret, '{"dbPassword-hunter2": 1}', { mode: 0o600 });
      const server = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 60_000)'], {
        cwd: dir,
        env: { WSGUARD_CONFIG: secret, WSGUARD_LOG: 'x\u001b[2J\u009b31m\nok     everything  fine' },
        uid: 65_534,
        gid: 65_534,
      });
      try {
        await eventually(
          () => readFileSync(`/proc/${server.pid}/cmdline`, 'utf8').includes('setTimeout'),
          'node',
        );
        const { out } = await wsguard('doctor', '--pid', String(server.pid));
        expect(out).toContain('permission denied');
        expect(out).not.toContain('hunter2');
        // oxlint-disable-next-line no-control-regex
        expect(out).not.toMatch(/[\u001b\u009b]|^ok +everything/m);
      } finally {
        server.kill('SIGKILL');
      }
    } finally {
      rmSync(dir, { recursive: true });
    }
  },
);
