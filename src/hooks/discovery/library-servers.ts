/** Reads servers of ws, engine.io and `websocket`, and adapters of Socket.IO. Their shape survives bundling and minifying. */
import type { EventEmitter } from 'node:events';
import { isMap, isSet } from 'node:util/types';
import type { RegistryReading, RoomsReading } from '../../types/index.ts';
import type { EngineServer } from '../connections/polling-sessions.ts';
import { countListeners, type NamedEmitter } from '../emitters/listener-counts.ts';
import { RoomCounter } from '../registered-collections.ts';
import type { UniqueNames } from '../unique-names.ts';
import { firstEntries, isArray, sizeOf } from './collection.ts';
import { readField } from './field-reader.ts';
import { hasProperty } from '../find-property.ts';

/** A namespace of Socket.IO. The application's `connection` handlers are its listeners. */
export interface Namespace extends EventEmitter {
  /** The connected sockets by their ids. */
  readonly sockets: ReadonlyMap<string, object>;
}

export interface LibraryServers {
  readonly registries: RegistryReading[];
  readonly rooms: RoomsReading[];
  readonly engines: EngineServer[];
  readonly namespaces: Namespace[];
  readonly emitters: NamedEmitter[];
}

export const noLibraryServers = (): LibraryServers => ({
  registries: [],
  rooms: [],
  engines: [],
  namespaces: [],
  emitters: [],
});

/**
 * Reads own fields only: a class of the application with the methods of such a server can have getters of the same names.
 */
export function readLibraryServers(
  servers: readonly object[],
  names: UniqueNames,
  rooms = new RoomCounter(),
): LibraryServers {
  const reading = noLibraryServers();
  rooms.startReading();
  for (const server of servers) {
    const clientsCount = readField(server, 'clientsCount');
    if (typeof clientsCount === 'number') addEngine(reading, server as EngineServer, clientsCount, names);
    else if (isMap(readField(server, 'sids'))) addAdapter(reading, server, { names, rooms });
    else addWebSocketServer(reading, server as EventEmitter, names);
  }
  return reading;
}

/** The namespaces of Socket.IO that an adapter among `servers` has. */
export const namespacesOf = (servers: readonly object[]): Namespace[] =>
  servers.flatMap((server) => (isMap(readField(server, 'sids')) ? (namespaceOf(server) ?? []) : []));

function namespaceOf(adapter: object): Namespace | null {
  const namespace = readField(adapter, 'nsp');
  return isMap(readField(namespace, 'sockets')) ? (namespace as Namespace) : null;
}

function addEngine(reading: LibraryServers, engine: EngineServer, entries: number, names: UniqueNames): void {
  const name = names.nameOf(engine, 'engine.io');
  reading.engines.push(engine);
  reading.emitters.push({ name, emitter: engine });
  reading.registries.push({ name: `${name} clients`, entries, source: 'found' });
}

/** `sids` has the same rooms by member, so it is not read: a member that stays there stays in its rooms too. */
function addAdapter(
  reading: LibraryServers,
  adapter: object,
  { names, rooms: counter }: { readonly names: UniqueNames; readonly rooms: RoomCounter },
): void {
  const rooms = readField(adapter, 'rooms');
  const namespace = namespaceOf(adapter);
  const namespaceName = readField(readField(adapter, 'nsp'), 'name');
  const label = typeof namespaceName === 'string' ? `socket.io ${namespaceName}` : 'socket.io';
  const name = names.nameOf(adapter, label.trim());
  if (isMap(rooms)) reading.rooms.push({ name, ...counter.count(rooms), source: 'found' });
  if (namespace !== null) {
    reading.namespaces.push(namespace);
    reading.registries.push({ name: `${name} sockets`, entries: sizeOf(namespace.sockets), source: 'found' });
  }
}

/** ws has a Set (none with `clientTracking: false`); `websocket` has arrays of connections and of requests. */
function addWebSocketServer(reading: LibraryServers, server: EventEmitter, names: UniqueNames): void {
  const name = names.nameOf(server, hasProperty(server, 'shouldHandle') ? 'ws' : 'websocket');
  reading.emitters.push({ name, emitter: server });
  for (const field of ['clients', 'connections', 'pendingRequests']) {
    const collection = readField(server, field);
    if (!isSet(collection) && !isArray(collection)) continue;
    const oldest = field === 'pendingRequests' ? [] : firstEntries(collection, MAX_READ_ENTRIES);
    const strippedEntries = oldest.filter(([, entry]) => isStripped(entry)).length;
    reading.registries.push({
      name: `${name} ${field}`,
      entries: sizeOf(collection),
      source: 'found',
      ...(strippedEntries === 0 ? {} : { strippedEntries }),
    });
  }
}

/** The oldest entries of a list that leaks have leaked, and reading a few costs microseconds. */
const MAX_READ_ENTRIES = 20;

const CLOSED = 3;

/**
 * True for a closed connection without a `close` listener: the application called `removeAllListeners()` on it, and with it
 * went the listener by which the library drops the connection from its list. `_readyState` is a field of ws, `readyState` of
 * ws 6, `connected` of `websocket`.
 */
function isStripped(entry: unknown): boolean {
  if (typeof entry !== 'object' || entry === null) return false;
  const readyState = readField(entry, '_readyState') ?? readField(entry, 'readyState');
  const isClosed =
    readyState === CLOSED || (readyState === undefined && readField(entry, 'connected') === false);
  if (!isClosed) return false;
  const { perEvent = [] } = countListeners(entry as EventEmitter) ?? {};
  return !perEvent.some(([event]) => event === 'close');
}
