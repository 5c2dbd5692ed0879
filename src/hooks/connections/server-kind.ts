/** Tells the servers of the application from other handles and from each other, without running its code. */
import type { Server, Socket } from 'node:net';
import { isAgentServer } from '../../core/agent-server.ts';
import { baseReader } from '../base-property.ts';
import { readField } from '../discovery/field-reader.ts';
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

/** The application can wrap a server in a Proxy, whose traps are its code: such a server counts as one that listens. */
export const isListening = (server: Server): boolean => readListening(server) !== false;
const readListening = baseReader('listening');

/** The server that accepted a socket. Node lists all handles of the process, and one among them can be a Proxy. */
export const serverOf = (socket: Socket): Server | null | undefined =>
  readField(socket, '_server') as Server | null | undefined;

export const isServer = (handle: object): handle is Server =>
  hasProperty(handle, 'listening') && hasProperty(handle, 'listen');

/** Node's documentation calls it deprecated, but it is the only list of sockets that Node accepted before the agent. */
export function activeHandles(): object[] {
  const list = (process as unknown as { _getActiveHandles?: () => object[] })._getActiveHandles;
  return typeof list === 'function' ? list.call(process) : [];
}
