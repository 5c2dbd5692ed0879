/**
 * Reads properties of connections by the getters and methods of Node and of the library. A class of the application can
 * override them, and its code must not run when the agent looks.
 */
import { isProxy } from 'node:util/types';
import { EMITTER_PROTOTYPE, emitterOn, emitterRemoveListener, type Method } from '../core/primordials.ts';
import { findProperty, prototypeChain } from './find-property.ts';

const { apply, getOwnPropertyDescriptor, getPrototypeOf } = Reflect;

type Listener = (...args: never[]) => void;

/**
 * Looks `name` up in the prototypes of an object. The last one that has it belongs to Node or the library, because classes
 * of the application extend those. Each prototype is searched once.
 */
function baseLookup<Found>(
  name: string,
  select: (descriptor: PropertyDescriptor, owner: object) => Found | undefined,
): (thing: object) => Found | null {
  const byPrototype = new WeakMap<object, Found | null>();
  return (thing) => {
    const prototype = getPrototypeOf(thing);
    if (prototype === null) return null;
    const earlier = byPrototype.get(prototype);
    if (earlier !== undefined) return earlier;
    let base: Found | null = null;
    for (const owner of prototypeChain(prototype)) {
      const descriptor = getOwnPropertyDescriptor(owner, name);
      const found = descriptor === undefined ? undefined : select(descriptor, owner);
      if (found !== undefined) base = found;
    }
    byPrototype.set(prototype, base);
    return base;
  };
}

/** Reads a property that a library defines by a getter of its class or as a value; undefined for every other getter. */
export function baseReader(name: string): (thing: object) => unknown {
  const getterOf = baseLookup<Method>(
    name,
    (descriptor) => Reflect.get(descriptor, 'get') as Method | undefined,
  );
  return (thing) => {
    if (isProxy(thing)) return undefined;
    const getter = getterOf(thing);
    if (getter !== null) return apply(getter, thing, []);
    return getOwnPropertyDescriptor(thing, name)?.value ?? findProperty(thing, name);
  };
}

/** Methods of EventEmitter as they were at the preload: an application can replace those of the prototype. */
const EMITTER_METHODS: Readonly<Record<string, Method>> = Object.freeze({
  on: emitterOn,
  removeListener: emitterRemoveListener,
});

/** The number that the property has; 0 for everything else, so that a sum stays a number. */
export function baseNumberReader(name: string): (thing: object) => number {
  const read = baseReader(name);
  return (thing) => {
    const value = read(thing);
    return typeof value === 'number' ? value : 0;
  };
}

/** Calls a method of Node or the library. The result is undefined where the object has none. */
export function baseMethod(name: string): (thing: object, ...args: readonly unknown[]) => unknown {
  const emitterMethod = EMITTER_METHODS[name];
  const methodOf = baseLookup<Method>(name, ({ value }, owner) => {
    if (owner === EMITTER_PROTOTYPE && emitterMethod !== undefined) return emitterMethod;
    return typeof value === 'function' ? (value as Method) : undefined;
  });
  return (thing, ...args) => {
    const method = isProxy(thing) ? null : methodOf(thing);
    return method === null ? undefined : apply(method, thing, args);
  };
}

const addCounted = baseMethod('on');

/**
 * Adds a listener of the agent. Node warns about the eleventh listener of an event, which would be that of the agent in an
 * application that has ten, so the limit of the emitter is off for the call.
 */
export function addListener(emitter: object, event: string, listener: Listener): void {
  const limit = isProxy(emitter) ? undefined : getOwnPropertyDescriptor(emitter, '_maxListeners');
  if (limit?.writable !== true) {
    addCounted(emitter, event, listener);
    return;
  }
  const { value } = limit as { value?: unknown };
  const limited = emitter as { _maxListeners?: unknown };
  limited._maxListeners = 0;
  try {
    addCounted(emitter, event, listener);
  } finally {
    limited._maxListeners = value;
  }
}

export const removeListener = baseMethod('removeListener');
