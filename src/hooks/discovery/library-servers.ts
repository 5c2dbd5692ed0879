/** Reads servers of ws, engine.io and `websocket`, and adapters of Socket.IO. Their shape survives bundling and minifying. */
import EventEmitter from 'node:events';
import { isMap, isSet } from 'node:util/types';
import type { RegistryReading, RoomsReading } from '../../types/index.ts';
import type { EngineServer } from '../connections/polling-sessions.ts';
import type { NamedEmitter } from '../emitters/listener-counts.ts';
import { countRooms, type RoomsMap } from '../registered-collections.ts';
import type { UniqueNames } from '../unique-names.ts';

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

interface ServerShape {
  readonly clientsCount?: unknown;
  readonly sids?: unknown;
  readonly rooms?: unknown;
  readonly nsp?: { readonly name?: unknown; readonly sockets?: unknown };
}

export const noLibraryServers = (): LibraryServers => ({
  registries: [],
  rooms: [],
  engines: [],
  namespaces: [],
  emitters: [],
});

export function readLibraryServers(servers: readonly object[], names: UniqueNames): LibraryServers {
  const reading = noLibraryServers();
  for (const server of servers) {
    const { clientsCount, sids } = server as ServerShape;
    if (typeof clientsCount === 'number') addEngine(reading, server as EngineServer, names);
    else if (isMap(sids)) addAdapter(reading, server as EventEmitter, names);
    else addWebSocketServer(reading, server as EventEmitter, names);
  }
  return reading;
}

function addEngine(reading: LibraryServers, engine: EngineServer, names: UniqueNames): void {
  const name = names.nameOf(engine, 'engine.io');
  reading.engines.push(engine);
  reading.emitters.push({ name, emitter: engine });
  reading.registries.push({ name: `${name} clients`, entries: engine.clientsCount, source: 'found' });
}

/** `sids` has the same rooms by member, so it is not read: a member that stays there stays in its rooms too. */
function addAdapter(reading: LibraryServers, adapter: EventEmitter, names: UniqueNames): void {
  const { nsp, rooms } = adapter as ServerShape;
  const label = typeof nsp?.name === 'string' ? `socket.io ${nsp.name}` : 'socket.io';
  const name = names.nameOf(adapter, label.trim());
  if (isMap(rooms)) reading.rooms.push({ name, ...countRooms(rooms as RoomsMap), source: 'found' });
  if (isMap(nsp?.sockets)) {
    reading.namespaces.push(nsp as unknown as Namespace);
    reading.registries.push({ name: `${name} sockets`, entries: nsp.sockets.size, source: 'found' });
  }
}

/** ws has a Set (none with `clientTracking: false`); `websocket` has arrays of connections and of requests. */
function addWebSocketServer(reading: LibraryServers, server: EventEmitter, names: UniqueNames): void {
  const name = names.nameOf(server, 'shouldHandle' in server ? 'ws' : 'websocket');
  reading.emitters.push({ name, emitter: server });
  for (const field of ['clients', 'connections', 'pendingRequests']) {
    const collection = (server as unknown as Record<string, unknown>)[field];
    const entries = isSet(collection)
      ? collection.size
      : Array.isArray(collection)
        ? collection.length
        : null;
    if (entries === null) continue;
    const oldest = field === 'pendingRequests' ? [] : oldestOf(collection);
    const strippedEntries = oldest.filter(isStripped).length;
    reading.registries.push({
      name: `${name} ${field}`,
      entries,
      source: 'found',
      ...(strippedEntries === 0 ? {} : { strippedEntries }),
    });
  }
}

/** The oldest entries of a list that leaks have leaked, and reading a few costs microseconds. */
const MAX_READ_ENTRIES = 20;

function oldestOf(collection: unknown): unknown[] {
  if (Array.isArray(collection)) return collection.slice(0, MAX_READ_ENTRIES) as unknown[];
  // The original methods, because a class may have overridden its own.
  const entries = Set.prototype.values.call(collection as Set<unknown>);
  const oldest: unknown[] = [];
  while (oldest.length < MAX_READ_ENTRIES) {
    const { done, value } = entries.next();
    if (done === true) break;
    oldest.push(value);
  }
  return oldest;
}

const CLOSED = 3;

/**
 * True for a closed connection without a `close` listener: the application called `removeAllListeners()` on it, and with it
 * went the listener by which the library drops the connection from its list. `readyState` is a field of ws, `connected` of
 * `websocket`.
 */
function isStripped(entry: unknown): boolean {
  const { readyState, connected } = (entry ?? {}) as { readyState?: unknown; connected?: unknown };
  const isClosed = readyState === CLOSED || (readyState === undefined && connected === false);
  return isClosed && EventEmitter.prototype.listenerCount.call(entry as EventEmitter, 'close') === 0;
}
