import type { Server } from 'node:net';
import type { Guard } from '../guard.ts';
import { Births } from './births.ts';
import { Sockets } from './sockets.ts';

/** All that runs before the process serves: no timer, no package, a few ms. */
export interface Dormant {
  readonly sockets: Sockets;
  readonly births: Births;
  /** V8 takes flags from here too; read at the start, since an application may delete its environment. */
  readonly nodeOptions: string;
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
    nodeOptions: process.env?.['NODE_OPTIONS'] ?? '',
    stop: () => {
      births.stop();
      sockets.stop();
    },
  };
}
