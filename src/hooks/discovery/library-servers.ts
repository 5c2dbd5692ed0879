import type { EventEmitter } from 'node:events';
import { isMap, isSet } from 'node:util/types';
import type { RegistryReading, RoomsReading } from '../../types/index.ts';
import type { EngineServer } from '../connections/polling-sessions.ts';
import type { Names } from '../unique-names.ts';
import { readRooms, type RoomsMap } from '../registered-collections.ts';

/** Servers and adapters told apart by shape, which survives bundling and minifying; class names do not. */
export interface Found {
  readonly registries: RegistryReading[];
  readonly rooms: RoomsReading[];
  readonly engines: EngineServer[];
  /** Socket.IO's, on which an application hears of connections. */
  readonly namespaces: EventEmitter[];
  readonly emitters: { readonly name: string; readonly emitter: EventEmitter }[];
}

interface Shape {
  readonly clientsCount?: unknown;
  readonly sids?: unknown;
  readonly rooms?: unknown;
  readonly nsp?: { readonly name?: unknown; readonly sockets?: unknown };
}

export const nothingFound = (): Found => ({
  registries: [],
  rooms: [],
  engines: [],
  namespaces: [],
  emitters: [],
});

export function readFound(things: readonly object[], names: Names): Found {
  const found = nothingFound();
  for (const thing of things) {
    const shape = thing as Shape;
    if (typeof shape.clientsCount === 'number') readEngine(thing as EngineServer, names, found);
    else if (isMap(shape.sids)) readAdapter(thing as EventEmitter, names, found);
    else readServer(thing as EventEmitter, names, found);
  }
  return found;
}

function readEngine(engine: EngineServer, names: Names, found: Found): void {
  const name = names.of(engine, 'engine.io');
  found.engines.push(engine);
  found.emitters.push({ name, emitter: engine });
  found.registries.push({ name: `${name} clients`, entries: engine.clientsCount, source: 'found' });
}

/** `sids` are the same rooms by their members: whoever stays in it stays in a room, and the rooms are what to tell. */
function readAdapter(adapter: EventEmitter, names: Names, found: Found): void {
  const { nsp, rooms } = adapter as Shape;
  const name = names.of(adapter, `socket.io ${typeof nsp?.name === 'string' ? nsp.name : ''}`.trim());
  if (isMap(rooms)) found.rooms.push({ name, ...readRooms(rooms as RoomsMap), source: 'found' });
  if (isMap(nsp?.sockets)) {
    found.namespaces.push(nsp as unknown as EventEmitter);
    found.registries.push({ name: `${name} sockets`, entries: nsp.sockets.size, source: 'found' });
  }
}

/** ws keeps a Set (none with `clientTracking: false`); the package `websocket` arrays of connections and of requests. */
function readServer(server: EventEmitter, names: Names, found: Found): void {
  const ofWs = 'shouldHandle' in server;
  const name = names.of(server, ofWs ? 'ws' : 'websocket');
  found.emitters.push({ name, emitter: server });
  for (const field of ['clients', 'connections', 'pendingRequests']) {
    const held = (server as unknown as Record<string, unknown>)[field];
    const entries = isSet(held) ? held.size : Array.isArray(held) ? held.length : null;
    if (entries !== null) found.registries.push({ name: `${name} ${field}`, entries, source: 'found' });
  }
}
