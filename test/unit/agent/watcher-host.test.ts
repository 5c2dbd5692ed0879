import { EventEmitter } from 'node:events';
import type * as Threads from 'node:worker_threads';
import type { WatcherSetup } from '../../../src/channel.ts';
import type { Config } from '../../../src/config/schema.ts';
import { createGuard } from '../../../src/core/guard.ts';
import { createFakeClock } from '../../support/fake-clock.ts';

/** Workers that never run; a test lets them die. */
const workers: EventEmitter[] = [];
/** Thrown by the next constructor calls. */
const mockRefusals: Error[] = [];
jest.mock('node:worker_threads', () => {
  class FakeWorker extends EventEmitter {
    constructor() {
      super();
      const refusal = mockRefusals.shift();
      if (refusal !== undefined) throw refusal;
      workers.push(this);
    }
    unref(): void {}
    postMessage(): void {}
    terminate(): Promise<number> {
      return Promise.resolve(0);
    }
  }
  return { ...jest.requireActual<typeof Threads>('node:worker_threads'), Worker: FakeWorker };
});
const { startWatcherHost } = jest.requireActual<typeof import('../../../src/agent/watcher-host.ts')>(
  '../../../src/agent/watcher-host.ts',
);

const MINUTE_MS = 60_000;

function start() {
  workers.length = 0;
  const clock = createFakeClock();
  const codes: unknown[] = [];
  const note = (fields: Readonly<Record<string, unknown>>): void => void codes.push(fields['code']);
  const log = { debug: note, info: note, warn: note, error: note };
  const onPaused = jest.fn();
  const host = startWatcherHost({ thread: 'auto' } as Config, {
    clock,
    guard: createGuard(() => undefined),
    log,
    flags: { execArgv: [], nodeOptions: '' },
    createSetup: () => ({ env: {} }) as unknown as WatcherSetup,
    onPort: () => undefined,
    onPaused,
  });
  /** The running watcher dies; its successor starts a second later, unless the host pauses. */
  const die = (): void => {
    workers.at(-1)?.emit('exit', 1);
    clock.advance(1_000);
  };
  return { clock, codes, onPaused, host, die };
}

test('the fourth death in a row is followed by a pause, and the watcher comes back', () => {
  const { clock, codes, onPaused, die } = start();
  for (let death = 1; death <= 4; death += 1) die();
  expect(workers).toHaveLength(4);
  expect(codes).toEqual([
    'WSGUARD_WATCHER_DIED',
    'WSGUARD_WATCHER_DIED',
    'WSGUARD_WATCHER_DIED',
    'WSGUARD_WATCHER_GAVE_UP',
  ]);
  expect(onPaused).toHaveBeenCalledTimes(1);
  clock.advance(10 * MINUTE_MS);
  expect(workers).toHaveLength(5);
  die();
  expect(workers).toHaveLength(6);
});

test('deaths that are far apart cause no pause', () => {
  const { clock, onPaused, die } = start();
  for (let death = 1; death <= 6; death += 1) {
    clock.advance(10 * MINUTE_MS);
    die();
  }
  expect(workers).toHaveLength(7);
  expect(onPaused).not.toHaveBeenCalled();
});

test('a stopped host starts nothing more', () => {
  const { clock, host, die } = start();
  die();
  workers.at(-1)?.emit('exit', 1);
  host.stop();
  clock.advance(10 * MINUTE_MS);
  expect(workers).toHaveLength(2);
});

test('a Worker that cannot be created for a while is tried again', () => {
  const { codes, clock, die } = start();
  mockRefusals.push(new Error('ERR_WORKER_INIT_FAILED: EMFILE'));
  die();
  expect(workers).toHaveLength(1);
  clock.advance(1_000);
  expect(workers).toHaveLength(2);
  expect(codes).toEqual(['WSGUARD_WATCHER_DIED', 'WSGUARD_WATCHER_DIED']);
});
