/** The address of a server for the start line. `server.address()` is not called: the application can override it. */
import type { Server } from 'node:net';
import { readField } from '../discovery/field-reader.ts';
import { findProperty } from '../find-property.ts';
import { pipeNameOf } from './server-kind.ts';

const { apply } = Reflect;

/** `port 8080`, or the path of a unix socket; null while the server does not listen. */
export function listeningAddress(server: Server): string | null {
  const path = pipeNameOf(server);
  if (path !== null) return path;
  const handle = readField(server, '_handle');
  if (typeof handle !== 'object' || handle === null) return null;
  // The handle is an object of Node itself, also in the worker of a cluster.
  const getsockname = findProperty(handle, 'getsockname');
  if (typeof getsockname !== 'function') return null;
  const address: { port?: unknown } = {};
  apply(getsockname as (into: object) => unknown, handle, [address]);
  return typeof address.port === 'number' ? `port ${address.port}` : null;
}
