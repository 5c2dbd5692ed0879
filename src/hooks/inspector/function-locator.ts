/**
 * Locates functions, and the function of the application behind a wrapper of a package: rxjs, lodash and Node add listeners
 * of their own that close over the application's.
 */
import { types } from 'node:util';
import type {
  CoveredScript,
  InspectorSession,
  RemoteFunction,
  RemoteProperty,
  Script,
} from './inspector-session.ts';
import { startOf } from '../../core/safe-text.ts';
import { namesOf, readField } from '../discovery/field-reader.ts';
import { isApplicationFile, scriptFile } from './script-origin.ts';

export interface FunctionLocation {
  readonly scriptId: string;
  /** Path, or `node:events`; empty when V8 does not list the script. */
  readonly file: string;
  /** From 1, as the column. */
  readonly line: number;
  readonly column: number;
  readonly functionName: string | null;
}

export interface LocatedFunction {
  readonly location: FunctionLocation;
  /** The wrapper around it; null when the listener is the function itself. */
  readonly wrapper: FunctionLocation | null;
}

/** A listener can be bound, wrapped, and both several times. */
const MAX_LAYERS = 6;
/** Names that lodash and similar libraries give to their wrappers, and to the variable with the wrapped function. */
const WRAPPER_NAME = /^(?:debounced|throttled|wrapped|wrapper|memoized|invokeFunc)$/;
const WRAPPED_VARIABLE = /^(?:func|fn|callback|listener|handler)$/;
/** An rxjs subscription with three operators has its subscriber nine references below the listener. */
const MAX_DEPTH = 12;
const MAX_VISITED = 400;
/** Each costs 0.2 to 1 ms (measured). */
const MAX_DESCRIBED = 60;
const MAX_FIELDS = 40;
const MAX_ELEMENTS = 10;
/** The debugger's list of scripts takes up to 0.1 ms for a script without an inline source map (measured). */
const MAX_PARSED_SCRIPTS = 200;
/** It takes 35 ms for 1 MB of inline source maps (measured). Packages have none, so only the application's files count. */
const MAX_PARSED_CHARS = 1_000_000;
/** The scope of a whole file refers to its imports, so what lies behind it belongs to the listener least of all. */
const OUTERMOST_SCOPE_DEPTH = 4;
/** An application can give a function any name. */
const MAX_NAME_CHARS = 128;

interface Visit {
  readonly value: object;
  readonly depth: number;
}

export class FunctionLocator {
  readonly #session: InspectorSession;
  readonly #scripts: ReadonlyMap<string, CoveredScript>;

  constructor(session: InspectorSession) {
    this.#session = session;
    this.#scripts = session.coveredScripts();
  }

  /** The script with its source map; null when it is unknown or reading all scripts would block the thread too long. */
  parsedScript(scriptId: string): Script | null {
    if (!this.#mayParseScripts()) return null;
    return this.#session.parsedScripts().get(scriptId) ?? null;
  }

  #mayParseScripts(): boolean {
    if (this.#scripts.size > MAX_PARSED_SCRIPTS) return false;
    let chars = 0;
    for (const { url, length } of this.#scripts.values())
      if (isApplicationFile(scriptFile(url))) chars += length;
    return chars <= MAX_PARSED_CHARS;
  }

  /** The function itself, unbound and unwrapped by name; null when it has no place in the source. */
  locate(listener: object): LocatedFunction | null {
    let remote = this.#session.describe(listener);
    const layers: FunctionLocation[] = [];
    for (let layer = 0; layer < MAX_LAYERS; layer += 1) {
      const location = this.#locationOf(remote);
      if (location !== null) layers.push(this.#withFile(location));
      // A bound function has no location, but its target has. The location of a wrapper is in its library.
      if (location === null) {
        const target = valueOf(remote.internal, '[[TargetFunction]]')?.objectId;
        if (target === undefined) break;
        remote = this.#session.describeRemote(target);
      } else {
        const wrapped = this.#wrappedByName(remote, location.functionName ?? '');
        if (wrapped === null) break;
        remote = this.#session.describe(wrapped);
      }
    }
    const location = layers.at(-1);
    return location === undefined ? null : { location, wrapper: layers.length > 1 ? layers[0]! : null };
  }

  #locationOf({ internal, properties }: RemoteFunction): FunctionLocation | null {
    const remote = valueOf(internal, '[[FunctionLocation]]')?.value as
      { scriptId: string; lineNumber: number; columnNumber?: number } | undefined;
    if (remote === undefined) return null;
    const { scriptId, lineNumber, columnNumber = 0 } = remote;
    const name = valueOf(properties, 'name')?.value;
    return {
      scriptId,
      file: scriptFile(this.#scripts.get(scriptId)?.url ?? ''),
      line: lineNumber + 1,
      column: columnNumber + 1,
      functionName: typeof name === 'string' && name !== '' ? startOf(name, MAX_NAME_CHARS) : null,
    };
  }

  /** V8 lists no script whose functions have not run or were not used for long. */
  #withFile(location: FunctionLocation): FunctionLocation {
    if (location.file !== '') return location;
    return { ...location, file: scriptFile(this.parsedScript(location.scriptId)?.url ?? '') };
  }

  /** The function that a wrapper keeps in a variable of its innermost scope. */
  #wrappedByName({ internal }: RemoteFunction, name: string): object | null {
    const scopesId = valueOf(internal, '[[Scopes]]')?.objectId;
    if (!WRAPPER_NAME.test(name) || scopesId === undefined) return null;
    const scope = readField(readField(this.#session.fetch(scopesId), '0'), 'object');
    if (typeof scope !== 'object' || scope === null) return null;
    const wrapped = namesOf(scope)
      .filter((variable) => WRAPPED_VARIABLE.test(variable))
      .map((variable) => readField(scope, variable))
      .find((value) => typeof value === 'function');
    return wrapped ?? null;
  }

  /**
   * The nearest function of the application by scopes, bound values and own fields. Emitters end the search, because their
   * listeners belong to others. It takes up to 60 ms.
   */
  findApplicationFunction(listener: object): FunctionLocation | null {
    const queues: Visit[][] = Array.from({ length: MAX_DEPTH + 1 }, () => []);
    queues[0]!.push({ value: listener, depth: 0 });
    const visited = new Set<object>([listener]);
    let described = 0;
    for (const queue of queues) {
      for (const { value, depth } of queue) {
        let below: Iterable<Visit>;
        if (typeof value === 'function') {
          if (described === MAX_DESCRIBED) return null;
          described += 1;
          const remote = this.#session.describe(value);
          const location = this.#locationOf(remote);
          if (location !== null && isApplicationFile(location.file)) return location;
          below = this.#scopeValues(remote, depth);
        } else below = fieldValues(value, depth);
        for (const next of below) {
          if (next.depth > MAX_DEPTH || visited.size >= MAX_VISITED || visited.has(next.value)) continue;
          visited.add(next.value);
          queues[next.depth]!.push(next);
        }
      }
    }
    return null;
  }

  *#scopeValues({ internal }: RemoteFunction, depth: number): Generator<Visit> {
    for (const name of ['[[TargetFunction]]', '[[BoundThis]]']) {
      const objectId = valueOf(internal, name)?.objectId;
      const value = objectId === undefined ? null : this.#session.fetch(objectId);
      if (isWalkable(value)) yield { value, depth: depth + 1 };
    }
    const scopesId = valueOf(internal, '[[Scopes]]')?.objectId;
    if (scopesId === undefined) return;
    // The innermost scope comes first and the global scope last. The array has no prototype and so no iterator.
    const scopes = Object.values(this.#session.fetch(scopesId) as Record<string, { object?: unknown }>);
    const local = scopes.map(({ object }) => object).filter((scope) => scope !== globalThis);
    for (const [index, scope] of local.entries()) {
      if (typeof scope !== 'object' || scope === null) continue;
      const isOutermost = index > 0 && index === local.length - 1;
      const scopeDepth = depth + 1 + (isOutermost ? OUTERMOST_SCOPE_DEPTH : index);
      for (const name of Object.keys(scope).slice(0, MAX_FIELDS)) {
        const value = readVariable(scope, name);
        if (isWalkable(value)) yield { value, depth: scopeDepth };
      }
    }
  }
}

/** Own fields and no getters, so that no code of the application runs. */
function* fieldValues(holder: object, depth: number): Generator<Visit> {
  if (Object.hasOwn(holder, '_events')) return;
  const names = Array.isArray(holder) ? newestIndexes(holder) : Object.keys(holder).slice(0, MAX_FIELDS);
  for (const name of names) {
    const value: unknown = Object.getOwnPropertyDescriptor(holder, name)?.value;
    if (isWalkable(value)) yield { value, depth: depth + 1 };
  }
}

const newestIndexes = ({ length }: readonly unknown[]): string[] =>
  Array.from({ length: Math.min(length, MAX_ELEMENTS) }, (_, index) => String(length - 1 - index));

const isWalkable = (value: unknown): value is object =>
  (typeof value === 'function' || (typeof value === 'object' && value !== null)) &&
  !types.isProxy(value) &&
  !ArrayBuffer.isView(value);

/** A `with` or the global of a vm context can have getters. Reading a `const` before its declaration has run throws. */
function readVariable(scope: object, name: string): unknown {
  try {
    return Object.getOwnPropertyDescriptor(scope, name)?.value;
  } catch {
    return undefined;
  }
}

const valueOf = (properties: readonly RemoteProperty[], name: string): RemoteProperty['value'] =>
  properties.find((property) => property.name === name)?.value;
