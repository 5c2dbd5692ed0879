import type { EventEmitter } from 'node:events';
import { isMap, isSet } from 'node:util/types';
import type { RegistryReading, RoomsReading } from '../types.ts';
import type { EngineServer } from './engine-io.ts';
import type { Names } from './names.ts';
import { readRooms, type RoomsMap } from './registries.ts';

/** Servers and adapters told apart by shape, which survives bundling and minifying; class names do not. */
export interface Found {
  readonly registries: RegistryReading[];
  readonly rooms: RoomsReading[];
  readonly engines: EngineServer[];
  readonly emitters: { readonly name: string; readonly emitter: EventEmitter }[];
}

interface Shape {
  readonly clients?: unknown;
  readonly clientsCount?: unknown;
  readonly connections?: unknown;
  readonly sids?: unknown;
  readonly rooms?: unknown;
  readonly nsp?: { readonly name?: unknown; readonly sockets?: unknown };
}

export function readFound(things: readonly object[], names: Names): Found {
  const found: Found = { registries: [], rooms: [], engines: [], emitters: [] };
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

function readAdapter(adapter: EventEmitter, names: Names, found: Found): void {
  const { nsp, rooms, sids } = adapter as Shape;
  const name = names.of(adapter, `socket.io ${typeof nsp?.name === 'string' ? nsp.name : ''}`.trim());
  if (isMap(rooms)) found.rooms.push({ name, ...readRooms(rooms as RoomsMap), source: 'found' });
  if (isMap(sids)) found.registries.push({ name: `${name} sids`, entries: sids.size, source: 'found' });
  if (isMap(nsp?.sockets)) {
    found.registries.push({ name: `${name} sockets`, entries: nsp.sockets.size, source: 'found' });
  }
}

/** ws keeps a Set (none with `clientTracking: false`), the package `websocket` an array. */
function readServer(server: EventEmitter, names: Names, found: Found): void {
  const { clients, connections } = server as Shape;
  const ofWs = 'shouldHandle' in server;
  const name = names.of(server, ofWs ? 'ws' : 'websocket');
  found.emitters.push({ name, emitter: server });
  if (isSet(clients)) {
    found.registries.push({ name: `${name} clients`, entries: clients.size, source: 'found' });
  } else if (!ofWs && Array.isArray(connections)) {
    found.registries.push({ name: `${name} connections`, entries: connections.length, source: 'found' });
  }
}
