/** Walks from the variables of a handler through own fields to the collections and functions that they refer to. */
import { isProxy } from 'node:util/types';
import { sourceOf } from '../../core/primordials.ts';
import type { NamedValue } from './closure-scopes.ts';
import { firstEntries, isArray, isCollection } from './collection.ts';
import { hasConnection, isConnection } from './collection-role.ts';
import { isObject, isPlainObject, readField, type Field, type FieldReader } from './field-reader.ts';
import type { PrivateFieldReader } from './private-fields.ts';
import { visibleLimit } from './visible-limit.ts';
import { hasProperty } from '../find-property.ts';

export interface ReachedCollection {
  /** The name in the application's code: `clients`, `manager.connections`. */
  readonly name: string;
  readonly collection: object;
  /** The object that has the collection in `field`; null for a variable. */
  readonly owner: object | null;
  readonly field: string;
  /** A number beside the collection that looks like its maximum size. */
  readonly limit: number | null;
}

export interface Reached {
  readonly collections: ReachedCollection[];
  /** Functions of the application, whose scopes can have further collections. */
  readonly functions: object[];
  /** Classes of the objects on the way. */
  readonly classes: object[];
}

/** `client.hub.connections`: a wrapper of a connection, the server, its registry. */
const MAX_DEPTH = 3;
/** Reading the fields of an object takes 2 to 5 us. */
const MAX_OBJECTS = 80;
/** All methods of a class have the same scopes around them. */
const METHODS_PER_CLASS = 1;
const MAX_ROUTES = 50;
const MAX_METHODS_PER_PART = 6;
/** An object with more fields is used as a map. */
const MAX_FIELDS_OF_HOLDER = 40;

interface Step extends NamedValue {
  readonly depth: number;
  readonly owner: object | null;
  readonly field: string;
  readonly limit: number | null;
}

/** `scopes`: lists of variables, each list from one scope. `excluded`: objects of libraries, which are read elsewhere. */
export function walkReferences(
  scopes: readonly (readonly NamedValue[])[],
  { fields, privateFields }: FieldReaders,
  excluded: WeakSet<object>,
): Reached {
  const reached: Reached = { collections: [], functions: [], classes: [] };
  const seen = new Set<unknown>();
  const steps: Step[] = scopes.flatMap((variables) => {
    const limit = visibleLimit(variables.map(({ name, value }) => [name, value]));
    return variables.map(({ name, value }) => ({ name, value, depth: 0, owner: null, field: name, limit }));
  });
  privateFields.startWalk();
  let objectsLeft = MAX_OBJECTS;
  // Breadth first, so that the budget goes to what is near. The list grows while it is read.
  for (const step of steps) {
    const { value } = step;
    if (!isObject(value) || seen.has(value) || isProxy(value) || excluded.has(value)) continue;
    seen.add(value);
    if (typeof value === 'function') reached.functions.push(value);
    if (isCollection(value)) {
      addCollection(reached, step, value);
      if (isArray(value)) reached.functions.push(...handlersIn(value, fields));
    } else if (objectsLeft > 0 && !isCoreOrServer(value) && !isConnection(value)) {
      objectsLeft -= 1;
      addFields({ reached, steps, step, fields, privateFields }, value);
    }
  }
  return reached;
}

const addCollection = ({ collections }: Reached, step: Step, collection: object): void => {
  const { name, owner, field, limit } = step;
  // The listeners of an emitter are counted elsewhere.
  if (LISTENERS_OF_EMITTER.test(name)) return;
  collections.push({ name, collection, owner, field, limit });
};

export interface FieldReaders {
  readonly fields: FieldReader;
  readonly privateFields: Pick<PrivateFieldReader, 'startWalk' | 'fieldsOf'>;
}

interface Walk extends FieldReaders {
  readonly reached: Reached;
  readonly steps: Step[];
  readonly step: Step;
}

function addFields({ reached, steps, step, fields, privateFields }: Walk, owner: object): void {
  let own = fields.fieldsOf(owner);
  if (isPlainObject(owner)) {
    addCollection(reached, step, owner);
    // A field of a map has the id of a user or of a document as its name.
    if (isUsedAsMap(own, fields)) return;
  } else if (typeof owner === 'object') {
    addClass(reached, owner);
    if (step.depth < MAX_DEPTH) own = [...own, ...privateFields.fieldsOf(owner)];
  }
  if (step.depth === MAX_DEPTH) return;
  const limit = visibleLimit(own);
  for (const [field, value] of own) {
    if (isObject(value))
      steps.push({ name: `${step.name}.${field}`, value, depth: step.depth + 1, owner, field, limit });
  }
}

/**
 * Web frameworks have their routes in arrays of functions, or of objects with a function: `app.router.stack[0].handle`.
 * Applications have their parts in such arrays: `plugins[0].onClose`.
 */
function handlersIn(list: object, fields: FieldReader, depth = 0): object[] {
  const functions = firstEntries(list, MAX_ROUTES).flatMap(([, item]) => {
    if (typeof item === 'function') return [item];
    if (typeof item !== 'object' || item === null || isProxy(item) || isConnection(item)) return [];
    const own = fields.fieldsOf(item);
    const { handle, route } = Object.fromEntries(own) as Record<string, unknown>;
    const stack = depth === 0 ? readField(route, 'stack') : undefined;
    return [
      ...(typeof handle === 'function' ? [handle] : isPlainObject(item) ? methodsIn(own) : []),
      ...(isArray(stack) ? handlersIn(stack, fields, depth + 1) : []),
    ];
  });
  return onePerPlace(functions);
}

const methodsIn = (own: readonly Field[]): object[] =>
  own
    .flatMap(([, value]) => (typeof value === 'function' && !isProxy(value) ? [value] : []))
    .slice(0, MAX_METHODS_PER_PART);

/** Listeners that a handler adds for each connection have the same text, and each leads to the record of one connection. */
function onePerPlace(functions: readonly object[]): object[] {
  const seen = new Set<string>();
  return functions.filter((candidate) => {
    const text = sourceOf(candidate);
    if (NATIVE_CODE.test(text.slice(-NATIVE_CODE_CHARS))) return true;
    // A Set reads all of a text to find it.
    const start = text.slice(0, MAX_COMPARED_CHARS);
    const isNew = !seen.has(start);
    seen.add(start);
    return isNew;
  });
}

const LISTENERS_OF_EMITTER = /\._events\b/;
const NATIVE_CODE = /\{\s*\[native code\]\s*\}$/;
const NATIVE_CODE_CHARS = 30;
const MAX_COMPARED_CHARS = 2_000;

const isUsedAsMap = (own: readonly Field[], fields: FieldReader): boolean =>
  own.length > MAX_FIELDS_OF_HOLDER ||
  own.filter(([name]) => !/^[a-z_$][a-z_$]*$/i.test(name)).length * 2 > own.length ||
  own.some(([, value]) => hasConnection(value, fields));

function addClass({ functions, classes }: Reached, instance: object): void {
  const prototype = Object.getPrototypeOf(instance) as object | null;
  if (prototype === null || isProxy(prototype)) return;
  let methodsLeft = METHODS_PER_CLASS;
  for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(prototype))) {
    if (typeof value !== 'function' || isProxy(value)) continue;
    if (name === 'constructor') classes.push(value as object);
    else if (methodsLeft > 0) {
      methodsLeft -= 1;
      functions.push(value as object);
    }
  }
}

/** Collections of streams, sockets, requests and servers are not the application's, or `library-servers.ts` reads them. */
const isCoreOrServer = (value: object): boolean =>
  [
    'pipe',
    'listen',
    'handleUpgrade',
    'setHeader',
    'sids',
    'clientsCount',
    'nsps',
    '_nsps',
    'hasRef',
    'byteLength',
  ].some((name) => hasProperty(value, name));
