import { loadConfig } from '../../../src/config/load-config.ts';
import { configText, otelSettings, shownSettings } from '../../../src/config/settings-text.ts';

const load = (env: Record<string, string>) =>
  loadConfig({
    env,
    readFile: () => {
      throw new Error('no file');
    },
    cwd: '/app',
    mainFile: null,
    execArgv: [],
  });

test('one line per setting in columns, then one line per problem', () => {
  const resolved = load({
    WSGUARD_MUTE: 'a:2026-12-01,b:2026-12-02',
    WSGUARD_LOG: 'loud',
    WSGUARD_DIR: '/d',
  });
  const lines = configText(shownSettings(resolved), resolved.problems).split('\n');
  const rows = lines.map((line) => line.split(/ {2,}/));
  expect(rows).toContainEqual(['WSGUARD_ENABLED', 'true', 'default']);
  expect(rows).toContainEqual(['WSGUARD_MUTE', 'a:2026-12-01,b:2026-12-02', 'env']);
  expect(rows).toContainEqual(['WSGUARD_WEBHOOK_URL', '(not set)', 'default']);
  expect(rows).toContainEqual(['WSGUARD_MAX_CONNECTIONS', '(not set: server.maxConnections)', 'default']);
  const sourceAt = lines.slice(0, -1).map((line) => line.search(/\S+$/));
  expect(new Set(sourceAt).size).toBe(1);
  expect(lines.at(-1)).toBe(
    '! WSGUARD_LOG (env): loud is ignored, expected one of silent, error, warn, info, debug',
  );
});

test('secrets are hidden when they are set', () => {
  const valueOf = (env: Record<string, string>) =>
    shownSettings(load(env)).find(({ setting }) => setting === 'webhookSecret')?.value;
  expect(valueOf({ WSGUARD_WEBHOOK_SECRET: 'hunter2' })).toBe('(set, hidden)');
  expect(valueOf({})).toBeNull();
});

test('the OTEL_* variables that are set have rows, without what may be a secret', () => {
  const rows = otelSettings({
    PATH: '/bin',
    OTEL_LOGS_EXPORTER: '',
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    OTEL_EXPORTER_OTLP_HEADERS: 'authorization=hunter2',
    OTEL_EXPORTER_OTLP_ENDPOINT: 'https://user:hunter2@collector:4318',
  });
  expect(rows.map(({ env, value, source }) => [env, value, source])).toEqual([
    ['OTEL_EXPORTER_OTLP_ENDPOINT', '(set, hidden)', 'env'],
    ['OTEL_EXPORTER_OTLP_HEADERS', '(set, hidden)', 'env'],
    ['OTEL_EXPORTER_OTLP_PROTOCOL', 'http/json', 'env'],
  ]);
});
