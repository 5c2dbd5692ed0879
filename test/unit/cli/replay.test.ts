import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gunzipSync } from 'node:zlib';
import { CliError, UsageError } from '../../../src/cli/command.ts';
import { replay, type Replay } from '../../../src/cli/replay.ts';
import { createTraceReader } from '../../../src/cli/trace-sample.ts';
import { expectValid } from '../../support/schemas.ts';
import { createTestDetection, sampleAt } from '../../support/run.ts';

const TRACES = join(__dirname, '..', '..', '..', 'fixtures', 'traces');
const trace = (id: string) => join(TRACES, `${id}.csv.gz`);

async function run(argv: readonly string[], stdin: NodeJS.ReadableStream = Readable.from([])) {
  let out = '';
  let err = '';
  const io = {
    out: (text: string) => (out += text),
    err: (text: string) => (err += text),
    stdin,
    env: {},
    cwd: '/',
  };
  const code = await replay.run(argv, io);
  return { code, out, err, json: () => expectValid('replay', JSON.parse(out) as Replay) };
}

test('a leak: exit code 1, and alerts in the time of the trace', async () => {
  const { code, json } = await run([trace('L04'), '--time-scale', '60', '--json']);
  expect(code).toBe(1);
  const { schema, alerts, answers, timeToLimit, evaluationMs } = json();
  expect(schema).toBe('wsguard.replay/1');
  expect(alerts[0]).toMatchObject({ event: 'opened', kind: 'listener-accumulation' });
  expect(alerts[0]?.tMs).toBeGreaterThan(10_000);
  expect(alerts[0]?.tMs).toBeLessThan(20_000);
  expect(answers.length).toBeGreaterThan(10);
  expect(timeToLimit.length).toBeGreaterThan(10);
  expect(timeToLimit.every(({ ms }) => ms >= 0)).toBe(true);
  expect(evaluationMs.median).toBeGreaterThan(0);
});

test('a healthy trace: exit code 0, and the answer of each detector', async () => {
  const { code, out } = await run([trace('H08'), '--time-scale', '60']);
  expect(code).toBe(0);
  expect(out).toContain('No alert in');
  expect(out).toMatch(/registries +ok/);
});

describe('without --time-scale', () => {
  const recording = (timeScale?: unknown) =>
    Readable.from([0, 1, 2].map((n) => `${JSON.stringify({ ...sampleAt(n, n * 250, {}), timeScale })}\n`));

  test('the time scale of the recording is used, and named on stderr', async () => {
    const { err, json } = await run(['-', '--json'], recording(60));
    expect(json()).toMatchObject({ timeScale: 60, intervalMs: 250 });
    expect(err).toBe('wsguard replay: the recording was made with the time scale 60\n');
  });

  test.each([undefined, 'NaN', -1, 1e9])(
    'a recording that says %p is read with 1, and a hint',
    async (scale) => {
      const { err, json } = await run(['-', '--json'], recording(scale));
      expect(json()).toMatchObject({ timeScale: 1, intervalMs: 250 });
      expect(err).toBe(
        'wsguard replay: the samples are 250 ms apart. If the recording was made with WSGUARD_TIME_SCALE, repeat the command with --time-scale <n>\n',
      );
    },
  );

  test('samples at the usual interval need no hint', async () => {
    const samples = [0, 1].map((n) => `${JSON.stringify(sampleAt(n, n * 15_000, {}))}\n`);
    expect((await run(['-'], Readable.from(samples))).err).toBe('');
  });
});

test('--time-scale wins over the time scale of the recording', async () => {
  const sample = `${JSON.stringify({ ...sampleAt(0, 0, {}), timeScale: 60 })}\n`;
  const { err, json } = await run(['-', '--json', '--time-scale', '2'], Readable.from([sample]));
  expect(json()).toMatchObject({ timeScale: 2, intervalMs: null });
  expect(err).toBe('');
});

test('--signals preload hides collections that only the application can have registered', async () => {
  const all = await run([trace('L07'), '--time-scale', '60', '--json']);
  const preload = await run([trace('L07'), '--time-scale', '60', '--signals', 'preload', '--json']);
  expect(all.json().alerts[0]?.kind).toBe('queue-growth');
  expect(preload.json().alerts[0]?.kind).toBe('heap-growth');
});

test('--memory-limit gives a time to the limit', async () => {
  const limit = String(220 * 1024 ** 2);
  const { json } = await run([trace('L13'), '--time-scale', '60', '--memory-limit', limit, '--json']);
  const last = json().alerts.at(-1);
  expect(last?.timeToLimitMs).toBeGreaterThan(0);
});

test('damaged lines are skipped, and their number is on stderr', async () => {
  const lines = gunzipSync(readFileSync(join(TRACES, 'preload', 'PL02.ndjson.gz')))
    .toString()
    .split('\n');
  const whole = lines.slice(0, 40);
  const of = (...texts: string[]) =>
    run(['-', '--json', '--time-scale', '60'], Readable.from([texts.join('\n')]));
  const complete = await of(...whole);
  expect(complete.err).toBe('');
  const cut = await of(...whole, 'garbage', (lines[40] ?? '').slice(0, 100));
  expect(cut.json().samples).toBe(complete.json().samples);
  expect(cut.err).toBe('wsguard replay: skipped 2 damaged lines; the file may be cut off\n');
});

test('reads a pipe, gzipped or not, in chunks of any size', async () => {
  const packed = readFileSync(trace('L04'));
  const plain = gunzipSync(packed);
  const chunks = (data: Buffer) => Readable.from(data.toString('latin1').match(/[^]{1,1013}/g) ?? []);
  const whole = await run([trace('L04'), '--time-scale', '60', '--json']);
  const alerts = JSON.stringify(whole.json().alerts);
  const bytes = Readable.from(
    (packed.toString('latin1').match(/[^]{1,777}/g) ?? []).map((part) => Buffer.from(part, 'latin1')),
    {
      objectMode: false,
    },
  );
  expect(JSON.stringify((await run(['-', '--time-scale', '60', '--json'], bytes)).json().alerts)).toBe(
    alerts,
  );
  expect(
    JSON.stringify((await run(['-', '--time-scale', '60', '--json'], chunks(plain))).json().alerts),
  ).toBe(alerts);
});

test('recorded samples give the same transitions as the live run', async () => {
  const [header = '', ...rows] = gunzipSync(readFileSync(trace('L05')))
    .toString()
    .trimEnd()
    .split('\n');
  const read = createTraceReader(header, { signals: 'all', memoryLimitBytes: null });
  const samples = rows.map(read).filter((sample) => sample !== null);
  const live = createTestDetection({ timeScale: 60 });
  const transitions = samples.flatMap((sample) => live.addSample(sample).transitions);
  const lines = samples.map((sample) => `${JSON.stringify(sample)}\n`);
  const { json } = await run(
    ['-', '--time-scale', '60', '--json'],
    Readable.from(lines, { objectMode: false }),
  );
  const brief = (list: readonly { event: string; kind: string; severity: string; title: string }[]) =>
    list.map(({ event, kind, severity, title }) => ({ event, kind, severity, title }));
  expect(transitions.length).toBeGreaterThan(0);
  expect(brief(json().alerts)).toEqual(brief(transitions));
});

test.each([
  [[]],
  [['a.csv', 'b.csv']],
  [['a.csv', '--signals', 'some']],
  [['a.csv', '--time-scale', '0']],
  [['a.csv', '--memory-limit', 'much']],
  [['a.csv', '--nonsense']],
  [['a.csv', '--prometheus', 'http://127.0.0.1:1']],
  [['a.csv', '--from', '2026-11-22']],
  [['--prometheus', 'not-a-url']],
  [['--prometheus', 'http://127.0.0.1:1', '--from', 'yesterday']],
  [['--prometheus', 'http://127.0.0.1:1', '--from', '2026-11-23', '--to', '2026-11-22']],
])('is wrong use: %p', async (argv) => {
  await expect(run(argv)).rejects.toBeInstanceOf(UsageError);
});

describe('a file that cannot be replayed', () => {
  let dir = '';
  beforeAll(() => (dir = mkdtempSync(join(tmpdir(), 'wsguard-replay-'))));
  afterAll(() => rmSync(dir, { recursive: true, force: true }));
  const file = (name: string, text: string | Buffer): string => {
    writeFileSync(join(dir, name), text);
    return join(dir, name);
  };

  test.each([
    ['WSGUARD_REPLAY_FILE', () => join(dir, 'absent.csv')],
    ['WSGUARD_REPLAY_FILE', () => dir],
    ['WSGUARD_REPLAY_FILE', () => file('cut.csv.gz', readFileSync(trace('L04')).subarray(0, 3_000))],
    ['WSGUARD_REPLAY_FORMAT', () => file('other.csv', 'a,b\n1,2\n')],
    ['WSGUARD_REPLAY_FORMAT', () => file('long.csv', 'x'.repeat(4_100_000))],
    ['WSGUARD_REPLAY_EMPTY', () => file('empty.csv', '')],
    ['WSGUARD_REPLAY_EMPTY', () => file('header.csv', 't,olds\n')],
  ])('%s', async (code, path) => {
    const failed = run([path(), '--json']);
    await expect(failed).rejects.toBeInstanceOf(CliError);
    await expect(failed).rejects.toMatchObject({ code });
  });

  test('invalid rows are skipped and raise no alert', async () => {
    const rows = Array.from({ length: 300 }, (_, i) => `${i % 5 === 0 ? 'x' : i * 15_000},NaN,-3,,1e300`);
    const path = file('nonsense.csv', ['t,olds,clients,unresp,map', ...rows].join('\n'));
    expect((await run([path, '--json'])).code).toBe(0);
  });
});
