/**
 * Reads built-in collections without running code of the application: it uses the methods of Map, Set and EventEmitter as
 * they were at the preload. A subclass can override `size` and iterators, and an application can replace `next`.
 */
import { EventEmitter } from 'node:events';

const { apply, get, getOwnPropertyDescriptor } = Reflect;
/** Calls a function of the application or of Node in our wrapper of it. */
export { apply };

/** Tests of the application can replace what they return. */
export const memoryUsage = process.memoryUsage.bind(process);
export const uptime = process.uptime.bind(process);
export const cpuUsage = process.cpuUsage.bind(process);

/** An entry ends the visit by returning false. */
type Visit = (key: unknown, value: unknown) => boolean;
export type Method = (...args: never[]) => unknown;

const mapSizeGetter = getOwnPropertyDescriptor(Map.prototype, 'size')?.get as Method;
const setSizeGetter = getOwnPropertyDescriptor(Set.prototype, 'size')?.get as Method;
/** The method as it is now, without its owner. */
export function methodOf(owner: object, name: string): Method {
  return get(owner, name) as Method;
}
const mapEntries = methodOf(Map.prototype, 'entries');
const setValues = methodOf(Set.prototype, 'values');
const mapHas = methodOf(Map.prototype, 'has');
const setHas = methodOf(Set.prototype, 'has');
const nextOfMap = methodOf(new Map().entries(), 'next');
const nextOfSet = methodOf(new Set().values(), 'next');
/** The owner of the two methods below. */
export const EMITTER_PROTOTYPE: object = EventEmitter.prototype;
export const emitterOn = methodOf(EMITTER_PROTOTYPE, 'on');
export const emitterRemoveListener = methodOf(EMITTER_PROTOTYPE, 'removeListener');
export const mapSet = methodOf(Map.prototype, 'set');
export const setAdd = methodOf(Set.prototype, 'add');
export const arrayPush = methodOf(Array.prototype, 'push');
const dateValueOf = methodOf(Date.prototype, 'valueOf');
const symbolDescription = getOwnPropertyDescriptor(Symbol.prototype, 'description')?.get as Method;
const functionToString = methodOf(Function.prototype, 'toString');

export const mapSize = (map: object): number => apply(mapSizeGetter, map, []) as number;
export const setSize = (set: object): number => apply(setSizeGetter, set, []) as number;
export const isInMap = (map: object, key: unknown): boolean => apply(mapHas, map, [key]) as boolean;
export const isInSet = (set: object, key: unknown): boolean => apply(setHas, set, [key]) as boolean;
export const dateMs = (date: object): number => apply(dateValueOf, date, []) as number;
export const descriptionOf = (symbol: symbol): string | undefined =>
  apply(symbolDescription, symbol, []) as string | undefined;
export const sourceOf = (code: object): string => apply(functionToString, code, []) as string;

export function visitMap(map: object, visit: Visit): void {
  const iterator = apply(mapEntries, map, []) as object;
  for (;;) {
    const step = apply(nextOfMap, iterator, []) as IteratorResult<readonly [unknown, unknown]>;
    if (step.done === true || !visit(step.value[0], step.value[1])) return;
  }
}

/** The key of an entry is null. */
export function visitSet(set: object, visit: Visit): void {
  const iterator = apply(setValues, set, []) as object;
  for (;;) {
    const step = apply(nextOfSet, iterator, []) as IteratorResult<unknown>;
    if (step.done === true || !visit(null, step.value)) return;
  }
}
