/** Runs a sampler on this process as the agent does, and connects clients that never reply. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { Server } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { createClock } from '../../src/core/clock.ts';
import { loadConfig } from '../../src/config/load-config.ts';
import type { StartOptions } from '../../src/config/schema.ts';
import { createGuard, type Guard } from '../../src/core/guard.ts';
import { installPreloadHooks, type PreloadHooks } from '../../src/hooks/preload-hooks.ts';
import { createSampler, type Sampler } from '../../src/agent/sampler.ts';
import type { Clock, Sample } from '../../src/types/index.ts';
import { eventually } from './eventually.ts';

export interface Sampling {
  readonly preloadHooks: PreloadHooks;
  readonly sampler: Sampler;
  readonly guard: Guard;
  readonly served: () => number;
  /** Reads samples until one satisfies the predicate. */
  until(what: string, predicate: (sample: Sample) => boolean): Promise<Sample>;
}

export function startSampling(code: StartOptions = {}, clock: Clock = createClock()): Sampling {
  const guard = createGuard(({ part, error }) => {
    process.stderr.write(`${part}: ${String(error)}\n`);
  });
  let served = 0;
  const preloadHooks = installPreloadHooks({ guard, onServe: () => (served += 1) });
  const { config } = loadConfig({
    env: {},
    code,
    readFile: () => '',
    cwd: '/',
    mainFile: null,
    execArgv: [],
  });
  const sampler = createSampler({ clock, guard, config, preloadHooks });
  return {
    preloadHooks,
    sampler,
    guard,
    served: () => served,
    until: (what, predicate) =>
      eventually(() => {
        const sample = sampler.read();
        return predicate(sample) ? sample : null;
      }, what),
  };
}

export async function listen(server: Pick<Server, 'listen' | 'address'>): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  return (server.address() as AddressInfo).port;
}

/** Does the handshake of a WebSocket client and then sends nothing, so pings get no reply. */
export async function muteClient(port: number, path = '/'): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  socket.write(
    `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
      `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n\r\n`,
  );
  await once(socket, 'data');
  socket.resume();
  return socket;
}
