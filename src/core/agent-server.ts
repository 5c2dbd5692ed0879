/** Marks the servers that the agent itself opens, so that the hooks leave them out of the application's numbers. */
import type { Server } from 'node:net';
import { isProxy } from 'node:util/types';

// Registered globally, so that two copies of the package know each other's servers.
const AGENT_SERVER = Symbol.for('wsguard.agent.server');

/** Call it before the server listens: the hooks see a server for the first time when it listens. */
export function markAgentServer(server: Server): void {
  Object.defineProperty(server, AGENT_SERVER, { value: true });
}

export const isAgentServer = (server: Server): boolean =>
  !isProxy(server) && Object.hasOwn(server, AGENT_SERVER);
