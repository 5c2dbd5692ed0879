/** Finds the collections in the scopes that functions close over: a handler closes over its application's registries. */
import { isMap, isProxy, isSet } from 'node:util/types';
import { withInspector, type InspectorSession } from '../inspector/inspector-session.ts';
import type { FieldReader } from './field-reader.ts';

/** A collection and its name in the application's code: `clients`, `manager.connections`. */
export interface NamedCollection {
  readonly name: string;
  readonly collection: object;
}

const MAX_VARIABLES_PER_SCOPE = 200;
/** A bound function has a target, which can be bound itself. */
const MAX_BOUND_LAYERS = 8;

export const isCollection = (value: unknown): value is object =>
  isMap(value) || isSet(value) || (Array.isArray(value) && !isProxy(value));

/** The Maps, Sets and Arrays that are variables there, or fields of plain objects there. */
export const collectionsInScopes = (functions: readonly object[], fields: FieldReader): NamedCollection[] =>
  functions.length === 0
    ? []
    : withInspector((session) => functions.flatMap((closure) => collectionsOf(session, closure, fields)));

function collectionsOf(session: InspectorSession, closure: object, fields: FieldReader): NamedCollection[] {
  const collections: NamedCollection[] = [];
  let { internal } = session.describe(closure);
  for (let layer = 0; layer < MAX_BOUND_LAYERS; layer += 1) {
    const objectId = (name: string): string | undefined =>
      internal.find((property) => property.name === name)?.value?.objectId;
    const [boundThis, target, scopes] = ['[[BoundThis]]', '[[TargetFunction]]', '[[Scopes]]'].map(objectId);
    if (boundThis !== undefined) addBoundThis(collections, session.fetch(boundThis), fields);
    if (scopes !== undefined) addScopes(collections, session.fetch(scopes), fields);
    if (target === undefined) break;
    internal = session.describeRemote(target).internal;
  }
  return collections;
}

/** The object of a bound method is named after its class. */
function addBoundThis(collections: NamedCollection[], self: unknown, fields: FieldReader): void {
  const className = (self as { constructor?: { name?: unknown } } | null)?.constructor?.name;
  const name = typeof className === 'string' && className !== '' ? className : 'this';
  addFields(collections, { name, value: self }, fields);
}

/** `scopes` is an array of `{ description, object }`, the innermost scope first and the global scope last. */
function addScopes(collections: NamedCollection[], scopes: unknown, fields: FieldReader): void {
  if (typeof scopes !== 'object' || scopes === null) return;
  // The array has no prototype and so no iterator.
  for (const scope of Object.values<{ readonly object?: unknown }>(scopes as Record<string, never>)) {
    if (typeof scope?.object !== 'object' || scope.object === null || scope.object === globalThis) continue;
    for (const name of Object.keys(scope.object).slice(0, MAX_VARIABLES_PER_SCOPE)) {
      const value = readVariable(scope.object as Record<string, unknown>, name);
      if (isCollection(value)) collections.push({ name, collection: value });
      else addFields(collections, { name, value }, fields);
    }
  }
}

/** Reading a `const` before its declaration has run throws. */
function readVariable(scope: Record<string, unknown>, name: string): unknown {
  try {
    return scope[name];
  } catch {
    return undefined;
  }
}

interface NamedValue {
  readonly name: string;
  readonly value: unknown;
}

function addFields(collections: NamedCollection[], { name, value }: NamedValue, fields: FieldReader): void {
  if (typeof value !== 'object' || value === null || isProxy(value) || isCoreOrServer(value)) return;
  for (const [field, fieldValue] of fields.fieldsOf(value)) {
    if (isCollection(fieldValue)) collections.push({ name: `${name}.${field}`, collection: fieldValue });
  }
}

/** Collections of streams, sockets, requests and servers are not the application's, or `library-servers.ts` reads them. */
const isCoreOrServer = (value: object): boolean =>
  ['pipe', 'listen', 'handleUpgrade', 'setHeader', 'sids', 'clientsCount'].some((name) => name in value);
