/** Looks up inherited properties of the application's objects without running its code: no getter, no Proxy trap. */
import { isProxy } from 'node:util/types';

/** A class hierarchy is rarely deeper than ten. */
const MAX_PROTOTYPES = 30;
// Captured at the preload, because an application can replace them.
const { getOwnPropertyDescriptor, getPrototypeOf, hasOwn } = Object;

/** The object and its prototypes, up to the first Proxy. */
export function prototypeChain(thing: object): object[] {
  const chain: object[] = [];
  let holder: object | null = thing;
  while (holder !== null && chain.length < MAX_PROTOTYPES && !isProxy(holder)) {
    chain.push(holder);
    holder = getPrototypeOf(holder) as object | null;
  }
  return chain;
}

/** The value of an own or inherited property; undefined for a getter, and for what a Proxy would answer. */
export function findProperty(thing: object, name: string): unknown {
  for (const holder of prototypeChain(thing)) {
    const descriptor = getOwnPropertyDescriptor(holder, name);
    if (descriptor !== undefined) return descriptor.value;
  }
  return undefined;
}

/** Like `name in thing`, without the traps of a Proxy. */
export const hasProperty = (thing: object, name: PropertyKey): boolean =>
  prototypeChain(thing).some((owner) => hasOwn(owner, name));

export const hasMethod = (thing: object, name: string): boolean =>
  typeof findProperty(thing, name) === 'function';

/** The name of its class; `fallback` where that cannot be read or is empty. */
export function classNameOf(thing: object, fallback: string): string {
  const constructor = findProperty(thing, 'constructor');
  if (typeof constructor !== 'function') return fallback;
  const name = isProxy(constructor) ? undefined : getOwnPropertyDescriptor(constructor, 'name')?.value;
  return typeof name === 'string' && name !== '' ? name : fallback;
}
