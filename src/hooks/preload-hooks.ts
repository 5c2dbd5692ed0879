/** The hooks that run before the process serves: no timer and no package, a few milliseconds. */
import type { Server } from 'node:net';
import type { Guard } from '../core/guard.ts';
// Loaded before the application, which can replace the methods of built-in classes.
import '../core/primordials.ts';
import { EmitterTracker } from './emitters/emitter-tracker.ts';
import { SocketTracker } from './connections/socket-tracker.ts';

export interface PreloadHooks {
  readonly sockets: SocketTracker;
  readonly emitters: EmitterTracker;
  /** Node's function, read before the application can replace it. */
  readonly clearTimeout: typeof clearTimeout;
  /** V8 options of this process, read at the start because an application may delete its environment. */
  readonly flags: { readonly execArgv: readonly string[]; readonly nodeOptions: string; readonly v8: string };
  stop(): void;
}

/** `onServe`: see `SocketTracker`. */
export function installPreloadHooks(deps: {
  guard: Guard;
  onServe: (server: Server | null) => void;
}): PreloadHooks {
  const emitters = new EmitterTracker(deps.guard);
  const sockets = new SocketTracker(deps.guard, deps.onServe);
  return {
    sockets,
    emitters,
    clearTimeout: globalThis.clearTimeout,
    flags: {
      execArgv: [...(process.execArgv ?? [])],
      nodeOptions: process.env?.['NODE_OPTIONS'] ?? '',
      v8: process.versions.v8,
    },
    stop() {
      emitters.stop();
      sockets.stop();
    },
  };
}
