import type { Server } from 'node:net';
import type { Guard } from '../core/guard.ts';
import { Births } from './emitters/emitter-tracker.ts';
import { Sockets } from './connections/sockets.ts';

/** All that runs before the process serves: no timer, no package, a few ms. */
export interface Dormant {
  readonly sockets: Sockets;
  readonly births: Births;
  /** Where V8's flags were given; read at the start, since an application may delete its environment. */
  readonly flags: { readonly execArgv: readonly string[]; readonly nodeOptions: string; readonly v8: string };
  stop(): void;
}

/** `onServe` is called for each server that listens, or that has a connection, until the sampler is made. */
export function installDormant(deps: { guard: Guard; onServe: (server: Server) => void }): Dormant {
  const { guard } = deps;
  const births = new Births(guard);
  const sockets = new Sockets(guard, deps.onServe);
  return {
    sockets,
    births,
    flags: {
      execArgv: [...(process.execArgv ?? [])],
      nodeOptions: process.env?.['NODE_OPTIONS'] ?? '',
      v8: process.versions.v8,
    },
    stop: () => {
      births.stop();
      sockets.stop();
    },
  };
}
