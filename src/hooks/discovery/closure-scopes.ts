/** Reads the variables that functions close over: a handler closes over its application's registries. */
import { isProxy } from 'node:util/types';
import type { InspectorSession } from '../inspector/inspector-session.ts';
import { classNameOf, namesOf, readField } from './field-reader.ts';

/** A variable, or the object of a bound method, and its name in the application's code. */
export interface NamedValue {
  readonly name: string;
  readonly value: unknown;
}

const MAX_VARIABLES_PER_SCOPE = 200;
/** A bound function has a target, which can be bound itself. */
const MAX_BOUND_LAYERS = 8;

/** The variables in the scopes of a function, the innermost first; each scope is a list. V8 does not list a captured `this`. */
export function scopesOf(session: InspectorSession, closure: object): NamedValue[][] {
  const scopes: NamedValue[][] = [];
  let { internal } = session.describe(closure);
  for (let layer = 0; layer < MAX_BOUND_LAYERS; layer += 1) {
    const objectId = (name: string): string | undefined =>
      internal.find((property) => property.name === name)?.value?.objectId;
    const [boundThis, target, scopeList] = ['[[BoundThis]]', '[[TargetFunction]]', '[[Scopes]]'].map(
      objectId,
    );
    if (boundThis !== undefined) scopes.push([boundObject(session.fetch(boundThis))]);
    if (scopeList !== undefined) scopes.push(...variablesByScope(session.fetch(scopeList)));
    if (target === undefined) break;
    ({ internal } = session.describeRemote(target));
  }
  return scopes;
}

/** The object of a bound method is named after its class. */
const boundObject = (value: unknown): NamedValue => ({
  name: (typeof value === 'object' && value !== null ? classNameOf(value) : null) ?? 'this',
  value,
});

/** Variables that nearly every module of Node itself has, and no application. */
const VARIABLE_OF_NODE =
  /^(?:primordials|internalBinding|getOptionValue|hideStackFrames|kEmptyObject|Safe(?:Map|Set)|ReflectApply|ERR_INVALID_ARG_TYPE|Object(?:Define|SetPrototype)\w+|(?:Array|Function|String|RegExp|Promise)Prototype\w+)$/;

/**
 * `scopes` is an array of `{ description, object }`, the innermost scope first and the global scope last. A function of Node
 * itself has none here.
 */
function variablesByScope(scopes: unknown): NamedValue[][] {
  if (typeof scopes !== 'object' || scopes === null) return [];
  const variables = namesOf(scopes).flatMap((index) => {
    const scope = readField(readField(scopes, index), 'object');
    if (typeof scope !== 'object' || scope === null || scope === globalThis || isProxy(scope)) return [];
    // A descriptor runs no getter, which the global object of a vm context or of a `with` can have.
    const names = namesOf(scope).slice(0, MAX_VARIABLES_PER_SCOPE);
    return [names.map((name) => ({ name, value: readField(scope, name) }))];
  });
  return variables.flat().some(({ name }) => VARIABLE_OF_NODE.test(name)) ? [] : variables;
}
