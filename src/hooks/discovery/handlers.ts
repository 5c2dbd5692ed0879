/** The handlers of emitters, read from their own fields: a class can override `listeners` and `eventNames`. */
import type { EventEmitter } from 'node:events';
import { basename, resolve } from 'node:path';
import { isProxy } from 'node:util/types';
import type { NamedValue } from './closure-scopes.ts';
import { firstEntries, isArray } from './collection.ts';
import {
  classNameOf,
  isPlainObject,
  listNames,
  namesOf,
  readField,
  type FieldReader,
} from './field-reader.ts';

/** The events of an emitter on which the application has its handlers. */
export interface HandlerEvents {
  readonly emitter: EventEmitter;
  /** Null: all events. */
  readonly events: readonly (string | symbol)[] | null;
}

const MAX_HANDLERS_PER_EMITTER = 6;
const MAX_EVENTS = 50;

export function handlersOf({ emitter, events }: HandlerEvents): object[] {
  const listenersByEvent = readField(emitter, '_events');
  if (typeof listenersByEvent !== 'object' || listenersByEvent === null) return [];
  const names = events ?? namesOf(listenersByEvent).slice(0, MAX_EVENTS);
  const handlers: object[] = [];
  for (const name of names) {
    const listeners = readField(listenersByEvent, name);
    const list = isArray(listeners)
      ? firstEntries(listeners, MAX_HANDLERS_PER_EMITTER).map(([, listener]) => listener)
      : [listeners];
    for (const listener of list) {
      // `once` wraps the handler.
      const handler = readField(listener, 'listener') ?? listener;
      if (typeof handler === 'function' && !isProxy(handler)) handlers.push(handler);
    }
  }
  return handlers.slice(0, MAX_HANDLERS_PER_EMITTER);
}

/** The handlers on the connection, and on the request that it came from (an event stream has its handlers there). */
export const emittersOfConnection = (connection: object): HandlerEvents[] =>
  [connection, readField(connection, 'req')].flatMap((emitter) =>
    typeof readField(emitter, '_events') === 'object'
      ? [{ emitter: emitter as EventEmitter, events: null }]
      : [],
  );

/** Fields that the application has set on a connection: `ws.session`, `socket.data`. Libraries mark theirs with `_`. */
export const fieldsOfConnection = (connection: object, fields: FieldReader): NamedValue[] =>
  fields
    .fieldsOf(connection)
    .filter(([name]) => !name.startsWith('_') && !FIELDS_OF_LIBRARIES.has(name))
    .map(([name, value]) => ({ name: `connection.${name}`, value }));

/** Fields of a Socket.IO socket and of a response that lead to the library. */
const FIELDS_OF_LIBRARIES = new Set([
  'nsp',
  'server',
  'adapter',
  'client',
  'handshake',
  'socket',
  'req',
  'app',
]);

const MAX_MODULES = 500;
/** `dist/` of the agent. */
const AGENT_FOLDER = resolve(__dirname, '..', '..');

/** Objects that the modules of the application export. The modules of packages are left out. */
export function exportedValues(modules: unknown, fields: FieldReader): NamedValue[] {
  if (typeof modules !== 'object' || modules === null) return [];
  return listNames(modules)
    .filter((file) => !file.includes('node_modules') && !file.startsWith(AGENT_FOLDER))
    .slice(0, MAX_MODULES)
    .flatMap((file) => {
      const exported = readField(readField(modules, file), 'exports');
      if (typeof exported !== 'object' || exported === null) return [];
      if (!isPlainObject(exported))
        return [{ name: classNameOf(exported) ?? basename(file), value: exported }];
      return fields
        .fieldsOf(exported)
        .filter(([, value]) => typeof value === 'object')
        .map(([name, value]) => ({ name, value }));
    });
}
