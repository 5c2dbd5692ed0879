/** Tells the servers of the application from other handles and from each other, without running its code. */
import type { Server } from 'node:net';
import { isAgentServer } from '../../core/agent-server.ts';
import { findProperty, hasProperty } from '../find-property.ts';

/** `ignored`: a private pipe of a tool (tsx has one), or a server of the agent. Every other kind serves clients. */
export type ServerKind = 'http' | 'https' | 'http2' | 'tcp' | 'ignored';

/** Reads the shape, because `instanceof` would load http into every npm and npx that inherits NODE_OPTIONS. */
export function kindOf(server: Server): ServerKind {
  if (isAgentServer(server)) return 'ignored';
  if (hasProperty(server, 'headersTimeout')) return isSecure(server) ? 'https' : 'http';
  if (hasProperty(server, 'updateSettings')) return 'http2';
  return pipeNameOf(server) === null ? 'tcp' : 'ignored';
}

/** The path of a unix socket or a Windows pipe, from Node's own field: a class of the application can override `address()`. */
export function pipeNameOf(server: Server): string | null {
  const name = findProperty(server, '_pipeName');
  return typeof name === 'string' && name !== '' ? name : null;
}

export const isSecure = (server: Server): boolean => hasProperty(server, 'setSecureContext');

export const isServer = (handle: object): handle is Server =>
  hasProperty(handle, 'listening') && hasProperty(handle, 'listen');

/** Node's documentation calls it deprecated, but it is the only list of sockets that Node accepted before the agent. */
export function activeHandles(): object[] {
  const list = (process as unknown as { _getActiveHandles?: () => object[] })._getActiveHandles;
  return typeof list === 'function' ? list.call(process) : [];
}
