import type { Server } from 'node:net';
import type { Guard } from '../core/guard.ts';
import { EmitterTracker } from './emitters/emitter-tracker.ts';
import { Sockets } from './connections/socket-tracker.ts';

/** All that runs before the process serves: no timer, no package, a few ms. */
export interface PreloadHooks {
  readonly sockets: Sockets;
  readonly emitterTracker: EmitterTracker;
  /** Where V8's flags were given; read at the start, since an application may delete its environment. */
  readonly flags: { readonly execArgv: readonly string[]; readonly nodeOptions: string; readonly v8: string };
  stop(): void;
}

/** `onServe` is called for each server that listens, or that has a connection, until the sampler is made. */
export function installPreloadHooks(deps: { guard: Guard; onServe: (server: Server) => void }): PreloadHooks {
  const { guard } = deps;
  const emitterTracker = new EmitterTracker(guard);
  const sockets = new Sockets(guard, deps.onServe);
  return {
    sockets,
    emitterTracker,
    flags: {
      execArgv: [...(process.execArgv ?? [])],
      nodeOptions: process.env?.['NODE_OPTIONS'] ?? '',
      v8: process.versions.v8,
    },
    stop: () => {
      emitterTracker.stop();
      sockets.stop();
    },
  };
}
