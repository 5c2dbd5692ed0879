import { isMap, isProxy, isSet } from 'node:util/types';
import type { Fields } from './field-reader.ts';
import { inspect, type Inspection } from '../inspector/inspector-session.ts';

/** A collection and how the application's code would name it: `clients`, `manager.connections`. */
export interface Variable {
  readonly name: string;
  readonly collection: object;
}

const MAX_VARIABLES = 200;
const MAX_DEPTH = 8;

export const isCollection = (value: unknown): value is object =>
  isMap(value) || isSet(value) || (Array.isArray(value) && !isProxy(value));

/**
 * The Maps, Sets and Arrays in the scopes that these functions close over, and one level below in plain objects there.
 * It is how a registry is reached that no one registered: the handler of a connection closes over it.
 */
export const collectionsAround = (functions: readonly object[], fields: Fields): Variable[] =>
  functions.length === 0
    ? []
    : inspect((inspection) => functions.flatMap((closure) => collectionsOf(inspection, closure, fields)));

function collectionsOf(inspection: Inspection, closure: object, fields: Fields): Variable[] {
  const found: Variable[] = [];
  let { internal } = inspection.describe(closure);
  for (let depth = 0; depth < MAX_DEPTH; depth += 1) {
    const idOf = (name: string): string | undefined =>
      internal.find((property) => property.name === name)?.value?.objectId;
    const [self, target, scopes] = ['[[BoundThis]]', '[[TargetFunction]]', '[[Scopes]]'].map(idOf);
    if (self !== undefined) addBound(found, inspection.fetch(self), fields);
    if (scopes !== undefined) addScopes(found, inspection.fetch(scopes), fields);
    if (target === undefined) break;
    internal = inspection.describeRemote(target).internal;
  }
  return found;
}

/** Of a bound method: its object goes by the name of its class. */
function addBound(found: Variable[], self: unknown, fields: Fields): void {
  const name = (self as { constructor?: { name?: unknown } } | null)?.constructor?.name;
  addFields(found, { name: typeof name === 'string' && name !== '' ? name : 'this', value: self }, fields);
}

/** An array of `{ description, object }` from the inside out, the global scope last. */
function addScopes(found: Variable[], scopes: unknown, fields: Fields): void {
  if (typeof scopes !== 'object' || scopes === null) return;
  // An array without a prototype, hence without an iterator.
  for (const scope of Object.values<{ readonly object?: unknown }>(scopes as Record<string, never>)) {
    if (typeof scope?.object !== 'object' || scope.object === null || scope.object === globalThis) continue;
    for (const name of Object.keys(scope.object).slice(0, MAX_VARIABLES)) {
      const value = variable(scope.object as Record<string, unknown>, name);
      if (isCollection(value)) found.push({ name, collection: value });
      else addFields(found, { name, value }, fields);
    }
  }
}

/** A `const` that its line has not reached yet throws when it is read. */
function variable(scope: Record<string, unknown>, name: string): unknown {
  try {
    return scope[name];
  } catch {
    return undefined;
  }
}

function addFields(found: Variable[], { name, value }: Named, fields: Fields): void {
  if (typeof value !== 'object' || value === null || isProxy(value) || isCoreOrServer(value)) return;
  for (const [field, own] of fields.of(value)) {
    if (isCollection(own)) found.push({ name: `${name}.${field}`, collection: own });
  }
}

interface Named {
  readonly name: string;
  readonly value: unknown;
}

/** Streams, sockets, servers, requests: theirs are not the application's registries, or are known already. */
const isCoreOrServer = (value: object): boolean =>
  ['pipe', 'listen', 'handleUpgrade', 'setHeader', 'sids', 'clientsCount'].some((name) => name in value);
