/** A `WatcherContext` with a fake clock. Log lines and faults are collected. */
import { createGuard } from '../../src/core/guard.ts';
import { loadConfig } from '../../src/config/load-config.ts';
import type { StartOptions } from '../../src/config/schema.ts';
import type { WatcherSetup } from '../../src/channel.ts';
import type { LogFields, LogLevel } from '../../src/types/index.ts';
import type { WatcherContext } from '../../src/watcher/context.ts';
import { createFakeClock, type FakeClock } from './fake-clock.ts';
import { IDENTITY } from './run.ts';

export interface LogEntry {
  readonly level: LogLevel;
  readonly fields: LogFields;
  readonly message: string;
}

export interface TestContext extends WatcherContext {
  readonly clock: FakeClock;
  readonly logged: readonly LogEntry[];
  readonly faults: readonly string[];
}

export function createTestContext(
  options: StartOptions = {},
  setup: Partial<Omit<WatcherSetup, 'config'>> = {},
): TestContext {
  const clock = createFakeClock();
  const logged: LogEntry[] = [];
  const faults: string[] = [];
  const { config } = loadConfig({
    env: {},
    code: options,
    readFile: () => '{}',
    cwd: '/app',
    mainFile: null,
    execArgv: [],
  });
  const log = (level: LogLevel) => (fields: LogFields, message: string) =>
    void logged.push({ level, fields, message });
  return {
    clock,
    logged,
    faults,
    log: { debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') },
    guard: createGuard(({ part }) => faults.push(part)),
    setup: {
      config,
      identity: IDENTITY,
      env: {},
      isDirSet: false,
      noFilesReason: null,
      stderr: null,
      noChildReason: null,
      startedWallMs: clock.wallMs(),
      heartbeat: null,
      noThreadReason: null,
      forkUnavailable: null,
      restarts: 0,
      openAlerts: [],
      ...setup,
    },
  };
}
