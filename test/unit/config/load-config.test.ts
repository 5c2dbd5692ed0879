import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig, type ConfigInput } from '../../../src/config/load-config.ts';

const files: Record<string, string> = {
  '/app/package.json': '{"name":"chat-server","version":"3.1.4"}',
  '/app/src/package.json': '{"type":"module"}',
  '/app/wsguard.json': '{"intervalMs": 5000, "thread": "on", "mute": ["abc:2026-12-01"]}',
  '/app/broken.json': '{"webhookSecret": "hunter2",',
  '/app/list.json': '[]',
  '/app/comma.json': '{\n  "ping": "off",\n  webhookSecret: "hunter2"\n}',
  '/app/variables.json': '{"WSGUARD_LOG": "debug"}',
};

const UNKNOWN = 'a known setting (`npx wsguard config` lists them)';

const readFile = (path: string): string => {
  const text = files[path];
  if (text === undefined) throw Object.assign(new Error('no'), { code: 'ENOENT' });
  return text;
};

const load = (more: Partial<ConfigInput> = {}) =>
  loadConfig({ env: {}, readFile, cwd: '/app', mainFile: '/app/src/server.js', execArgv: [], ...more });

test('defaults: the service of package.json, the directory below the working directory', () => {
  const { config, sources, problems, serviceVersion } = load();
  expect(config).toMatchObject({
    enabled: true,
    intervalMs: 15_000,
    dir: '/app/.wsguard',
    service: 'chat-server',
  });
  expect(sources).toMatchObject({ intervalMs: 'default', dir: 'default', service: 'package.json' });
  expect(serviceVersion).toBe('3.1.4');
  expect(problems).toEqual([]);
});

test('the environment wins over code, code over the file, the file over defaults', () => {
  const env = { WSGUARD_CONFIG: 'wsguard.json', WSGUARD_THREAD: 'off' };
  const { config, sources } = load({ env, code: { intervalMs: 7000, thread: 'auto' } });
  expect(config).toMatchObject({ intervalMs: 7000, thread: 'off', mute: ['abc:2026-12-01'] });
  expect(sources).toMatchObject({ intervalMs: 'code', thread: 'env', mute: 'file', log: 'default' });
});

test('code can name the file, and the environment another one', () => {
  expect(load({ code: { config: '/app/wsguard.json' } }).config.intervalMs).toBe(5000);
  const { problems } = load({ code: { config: '/app/wsguard.json' }, env: { WSGUARD_CONFIG: '/none.json' } });
  expect(problems).toEqual([
    {
      setting: 'WSGUARD_CONFIG',
      source: 'file',
      value: '/none.json',
      expected: 'a readable file (no such file)',
    },
  ]);
});

test('WSGUARD_ENABLED=false is read first: no file is opened', () => {
  const opened: string[] = [];
  const { config } = load({
    env: { WSGUARD_ENABLED: '0', WSGUARD_CONFIG: 'wsguard.json' },
    readFile: (path) => {
      opened.push(path);
      return readFile(path);
    },
  });
  expect(config.enabled).toBe(false);
  expect(opened).toEqual([]);
});

test.each([
  ['WSGUARD_INTERVAL_MS', '15s', 'intervalMs', 15_000],
  ['WSGUARD_INTERVAL_MS', '0', 'intervalMs', 15_000],
  ['WSGUARD_TIME_SCALE', 'Infinity', 'timeScale', 1],
  ['WSGUARD_ENABLED', 'flase', 'enabled', true],
  ['WSGUARD_THREAD', 'maybe', 'thread', 'auto'],
  ['WSGUARD_WEBHOOK_URL', 'ftp://x', 'webhookUrl', null],
  ['WSGUARD_MUTE', 'no-date', 'mute', []],
  ['WSGUARD_PROMETHEUS_PORT', '70000', 'prometheusPort', null],
])('%s=%s is reported and the value of the layer below stays', (name, text, setting, kept) => {
  const { config, problems } = load({ env: { [name]: text } });
  expect(config[setting as 'dir']).toEqual(kept);
  expect(problems).toHaveLength(1);
  expect(problems[0]).toMatchObject({ setting: name, source: 'env' });
});

test('an invalid value in the environment leaves the value of code', () => {
  const { config, sources } = load({ code: { intervalMs: 9000 }, env: { WSGUARD_INTERVAL_MS: 'fast' } });
  expect(config.intervalMs).toBe(9000);
  expect(sources.intervalMs).toBe('code');
});

test('an empty variable counts as not set', () => {
  expect(load({ env: { WSGUARD_DIR: '', WSGUARD_LOG: ' ' } }).problems).toEqual([]);
});

test('unknown names in file, code and environment are reported with the nearest known name', () => {
  files['/app/typo.json'] = '{"interval": 5}';
  const { problems } = load({
    env: { WSGUARD_WEBHOK_URL: 'https://user:pw@x', WSGUARD_CONFIG: 'typo.json' },
    code: { intervalMS: 5, bogus: 1 },
  });
  expect(problems.map(({ setting, source, expected }) => [setting, source, expected])).toEqual([
    ['interval', 'file', 'a known setting; did you mean intervalMs?'],
    ['intervalMS', 'code', 'a known setting; did you mean intervalMs?'],
    ['bogus', 'code', UNKNOWN],
    ['WSGUARD_WEBHOK_URL', 'env', 'a known setting; did you mean WSGUARD_WEBHOOK_URL?'],
  ]);
  expect(JSON.stringify(problems)).not.toContain('pw');
});

test('a settings file that is no JSON is reported with the place of the error, without a word of the file', () => {
  const expectedOf = (name: string): string | undefined =>
    load({ env: { WSGUARD_CONFIG: name } }).problems[0]?.expected;
  expect(expectedOf('comma.json')).toBe(
    'a file with one JSON object (its JSON is not valid in line 3, column 3)',
  );
  expect(expectedOf('broken.json')).toMatch(/^a file with one JSON object \(its JSON .+\)$/);
  expect(expectedOf('broken.json')).not.toContain('hunter2');
});

test('the name of a variable in a settings file leads to the name in camel case', () => {
  expect(load({ env: { WSGUARD_CONFIG: 'variables.json' } }).problems[0]).toMatchObject({
    setting: 'WSGUARD_LOG',
    expected: 'a known setting; did you mean log?',
  });
});

test('no problem contains a secret', () => {
  const { problems } = load({
    env: { WSGUARD_WEBHOOK_URL: 'htp://hunter2', WSGUARD_CONFIG: 'broken.json' },
    code: { webhookSecret: 12 },
  });
  expect(problems).toHaveLength(3);
  expect(JSON.stringify(problems)).not.toContain('hunter2');
});

test('reports a settings file without an object, and options that are not an object', () => {
  expect(load({ env: { WSGUARD_CONFIG: 'list.json' } }).problems[0]?.expected).toBe(
    'a file with one JSON object',
  );
  expect(load({ env: { WSGUARD_CONFIG: 'missing.json' } }).problems[0]?.expected).toBe(
    'a readable file (no such file)',
  );
  expect(load({ code: 42 }).problems[0]?.setting).toBe('start(options)');
});

test.each([[undefined], [null], [7], [[]], [{}]])('an environment of %p counts as empty', (env) => {
  expect(load({ env }).config.enabled).toBe(true);
});

test('survives an environment with getters that throw', () => {
  const env = new Proxy(
    {},
    {
      ownKeys: () => ['WSGUARD_LOG'],
      get: () => {
        throw new Error('trap');
      },
    },
  );
  expect(load({ env }).config.log).toBe('info');
});

test('the directory comes from --diagnostic-dir in the flags or NODE_OPTIONS; WSGUARD_DIR wins', () => {
  expect(load({ execArgv: ['--diagnostic-dir=/diag'] }).config.dir).toBe('/diag');
  const env = { NODE_OPTIONS: '--require x --diagnostic-dir /opt/d' };
  expect(load({ env })).toMatchObject({ config: { dir: '/opt/d' }, sources: { dir: '--diagnostic-dir' } });
  expect(load({ env: { ...env, WSGUARD_DIR: 'mine' } }).config.dir).toBe('/app/mine');
});

test('the service comes from WSGUARD_SERVICE, OTEL_SERVICE_NAME, resource attributes or package.json', () => {
  const otel = { OTEL_RESOURCE_ATTRIBUTES: 'service.name=from%20attr,service.version=9,broken=%' };
  expect(load({ env: otel })).toMatchObject({
    config: { service: 'from attr' },
    sources: { service: 'OTEL_RESOURCE_ATTRIBUTES' },
    serviceVersion: '9',
  });
  const named = { ...otel, OTEL_SERVICE_NAME: 'otel' };
  expect(load({ env: named })).toMatchObject({
    config: { service: 'otel' },
    sources: { service: 'OTEL_SERVICE_NAME' },
  });
  expect(load({ env: { ...named, WSGUARD_SERVICE: 'chat' } }).config.service).toBe('chat');
  expect(load({ cwd: '/', mainFile: null }).config.service).toBe('unknown_service:node');
});

test('booleans stand for on and off', () => {
  expect(load({ code: { redact: false } }).config.redact).toBe('off');
  expect(load({ env: { WSGUARD_PING: 'false' } }).config.ping).toBe('off');
});

test('the result is frozen', () => {
  const { config } = load({ code: { mute: ['a:2026-12-01'] } });
  expect(Object.isFrozen(config) && Object.isFrozen(config.mute)).toBe(true);
});

test('a settings file of more than 1 MiB, or one that is not a regular file, is refused', () => {
  const dir = mkdtempSync(join(tmpdir(), 'wsguard-config-'));
  const large = join(dir, 'large.json');
  writeFileSync(large, '{"intervalMs": 5000}'.padEnd(1024 ** 2 + 1));
  for (const [path, reason] of [
    [large, 'larger than 1.0 MiB'],
    [dir, 'not a regular file'],
  ] as const) {
    const { config, problems } = loadConfig({
      env: { WSGUARD_CONFIG: path },
      cwd: dir,
      mainFile: null,
      execArgv: [],
    });
    expect(config.intervalMs).toBe(15_000);
    expect(problems).toEqual([
      {
        setting: 'WSGUARD_CONFIG',
        source: 'file',
        value: path.slice(0, 80),
        expected: `a readable file (${reason})`,
      },
    ]);
  }
  rmSync(dir, { recursive: true });
});

test('a variable of a setting that this version does not have is unknown, without a misleading suggestion', () => {
  const { config, problems } = load({ env: { WSGUARD_FORK: 'off' } });
  expect(Object.keys(config)).not.toContain('fork');
  expect(problems).toEqual([
    { setting: 'WSGUARD_FORK', source: 'env', value: '(not read)', expected: UNKNOWN },
  ]);
});

describe('S3', () => {
  const bucket = { WSGUARD_S3_BUCKET: 'snapshots' };

  test.each([
    [{}, 'us-east-1', 'default'],
    [{ AWS_REGION: 'eu-west-1', AWS_DEFAULT_REGION: 'eu-west-2' }, 'eu-west-1', 'AWS_REGION'],
    [{ AWS_DEFAULT_REGION: 'eu-west-2' }, 'eu-west-2', 'AWS_DEFAULT_REGION'],
    [{ AWS_REGION: 'eu-west-1', WSGUARD_S3_REGION: 'eu-west-3' }, 'eu-west-3', 'env'],
  ])('with %j the region is %s', (env, s3Region, source) => {
    const { config, sources, problems } = load({ env: { ...bucket, ...env } });
    expect(config).toMatchObject({ s3Bucket: 'snapshots', s3Region, s3PathStyle: 'auto' });
    expect(sources.s3Region).toBe(source);
    expect(problems).toEqual([]);
  });

  test('without a bucket the AWS variables are not read', () => {
    expect(load({ env: { AWS_REGION: 'eu-west-1' } }).config.s3Region).toBe('us-east-1');
  });

  test.each(['s3://snapshots', 'snapshots/chat', 'a b', '.', 'host:9000'])('%s is not a bucket', (text) => {
    const { config, problems } = load({ env: { WSGUARD_S3_BUCKET: text } });
    expect(config.s3Bucket).toBeNull();
    expect(problems[0]?.expected).toBe('the name of a bucket, without s3:// and without a path');
  });

  test('with a wrong endpoint there is no bucket, because the files would go to AWS', () => {
    for (const input of [
      { env: { ...bucket, WSGUARD_S3_ENDPOINT: '10.0.0.1:9000' } },
      { env: bucket, code: { s3Endpoint: 'hunter2.example.com' } },
    ]) {
      const { config, problems } = load(input);
      expect(config.s3Bucket).toBeNull();
      expect(problems).toHaveLength(1);
      expect(JSON.stringify(problems)).not.toContain('hunter2');
    }
  });
});

test('a relative directory has no path when the working directory was deleted; an absolute one keeps its own', () => {
  expect(load({ cwd: null }).config.dir).toBe('');
  expect(load({ cwd: null, env: { WSGUARD_DIR: 'diagnostics' } }).config.dir).toBe('');
  expect(load({ cwd: null, env: { WSGUARD_DIR: '/var/lib/chat' } }).config.dir).toBe('/var/lib/chat');
});
