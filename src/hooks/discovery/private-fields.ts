/** Reads the private fields (`#clients`) of the application's objects. Only code inside the class, or the inspector, can. */
import { isProxy } from 'node:util/types';
import { inspectorConnection } from '../../core/inspector-connection.ts';
import { prototypeChain } from '../find-property.ts';
import { withInspector } from '../inspector/inspector-session.ts';
import { readField, type Field } from './field-reader.ts';
import { privateFieldNames } from './source-text.ts';

/** Reading a field takes 70 us. */
const MAX_FIELDS_OF_CLASS = 8;
const MAX_READS = 16;

export class PrivateFieldReader {
  /** The names of each class. A class has none here after a field could not be read. */
  readonly #names = new WeakMap<object, readonly string[]>();
  #readsLeft = MAX_READS;

  /** Call it before each walk through objects. */
  startWalk(): void {
    this.#readsLeft = MAX_READS;
  }

  /** Empty without a session, because connecting takes milliseconds. Reading a private field runs no code of the application. */
  fieldsOf(instance: object): Field[] {
    if (!inspectorConnection.isConnected) return [];
    return classesOf(instance).flatMap((constructor) => this.#read(instance, constructor));
  }

  #read(instance: object, constructor: object): Field[] {
    const names = this.#namesOf(constructor).slice(0, this.#readsLeft);
    if (names.length === 0) return [];
    this.#readsLeft -= names.length;
    const values = withInspector((session) => names.map((name) => session.privateField(instance, name)));
    if (values.includes(null)) this.#names.set(constructor, []);
    return values.flatMap((found, index): Field[] => (found === null ? [] : [[names[index]!, found.value]]));
  }

  #namesOf(constructor: object): readonly string[] {
    const known = this.#names.get(constructor);
    if (known !== undefined) return known;
    const names = privateFieldNames(constructor).slice(0, MAX_FIELDS_OF_CLASS);
    this.#names.set(constructor, names);
    return names;
  }
}

function classesOf(instance: object): object[] {
  return prototypeChain(instance)
    .slice(1)
    .flatMap((prototype) => {
      const constructor = readField(prototype, 'constructor');
      return typeof constructor === 'function' && !isProxy(constructor) ? [constructor] : [];
    });
}
