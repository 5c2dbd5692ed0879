/** Example connections for a search, and the ids of connected sockets. */
import type { Connection } from '../connections/connection.ts';
import { firstEntries, hasKey } from './collection.ts';
import type { ConnectedIds } from './collection-role.ts';
import type { Namespace } from './library-servers.ts';

const EXAMPLES_PER_TRANSPORT = 2;
/** Reading all of 10,000 connections takes 2 ms. */
const MAX_CONNECTIONS_READ = 500;
const SAMPLE_IDS_PER_NAMESPACE = 10;

/** The first two of each transport, among the oldest connections, and of each namespace of Socket.IO. */
export function exampleConnections(
  open: ReadonlyMap<unknown, Connection | null>,
  namespaces: readonly Namespace[],
): object[] {
  const examples = new Map<string, object[]>();
  let connectionsLeft = MAX_CONNECTIONS_READ;
  for (const connection of open.values()) {
    if (connectionsLeft === 0) break;
    connectionsLeft -= 1;
    if (connection === null) continue;
    const sameTransport = examples.get(connection.transport) ?? [];
    if (sameTransport.length < EXAMPLES_PER_TRANSPORT)
      examples.set(connection.transport, [...sameTransport, connection.appObject]);
  }
  // A namespace has sockets of its own, with the application's handlers on them.
  const ofNamespaces = namespaces.flatMap(({ sockets }) =>
    firstEntries(sockets, EXAMPLES_PER_TRANSPORT).map(([, socket]) => socket as object),
  );
  return [...[...examples.values()].flat(), ...ofNamespaces];
}

export const connectedIds = (namespaces: readonly Namespace[]): ConnectedIds[] =>
  namespaces.map(({ sockets }) => ({
    samples: firstEntries(sockets, SAMPLE_IDS_PER_NAMESPACE).map(([id]) => id as string),
    has: (id) => hasKey(sockets, id),
  }));
