/** Reads the private fields (`#clients`) of the application's objects. Only code inside the class, or the inspector, can. */
import { isProxy } from 'node:util/types';
import { inspectorConnection } from '../../core/inspector-connection.ts';
import { prototypeChain } from '../find-property.ts';
import { withInspector } from '../inspector/inspector-session.ts';
import { readField, type Field } from './field-reader.ts';
import { privateNames, type PrivateNames } from './source-text.ts';

/** Reading a field takes 70 us. */
const MAX_FIELDS_OF_CLASS = 8;
const MAX_READS = 16;

export class PrivateFieldReader {
  readonly #names = new WeakMap<object, PrivateNames | null>();
  /** The names that could not be read, by class: words of a comment or of a text. */
  readonly #unreadable = new WeakMap<object, Set<string>>();
  #readsLeft = MAX_READS;

  /** Call it before each walk through objects. */
  startWalk(): void {
    this.#readsLeft = MAX_READS;
  }

  /**
   * Empty without a session, because connecting takes milliseconds. Reading a private field runs no code of the application,
   * apart from its hooks of `async_hooks`: V8 makes a promise for the reply.
   */
  fieldsOf(instance: object): Field[] {
    if (!inspectorConnection.isConnected) return [];
    const classes = classesOf(instance);
    const names = classes.map((constructor) => this.#namesOf(constructor));
    // A class has no field and accessor of one name, but its comments and its subclasses may have the name of an accessor:
    // reading it would run the accessor. Two classes with one name make the expression ambiguous.
    if (names.includes(null)) return [];
    const counts = new Map<string, number>();
    for (const { fields, accessors } of names as PrivateNames[]) {
      for (const name of fields) counts.set(name, (counts.get(name) ?? 0) + 1);
      for (const name of accessors) counts.set(name, Infinity);
    }
    return classes.flatMap((constructor, index) =>
      this.#read(
        instance,
        constructor,
        names[index]!.fields.filter((name) => counts.get(name) === 1),
      ),
    );
  }

  #read(instance: object, constructor: object, fields: readonly string[]): Field[] {
    const unreadable = this.#unreadable.get(constructor);
    const names = fields
      .filter((name) => unreadable?.has(name) !== true)
      .slice(0, Math.min(MAX_FIELDS_OF_CLASS, this.#readsLeft));
    if (names.length === 0) return [];
    this.#readsLeft -= names.length;
    const values = withInspector((session) => names.map((name) => session.privateField(instance, name)));
    const failed = names.filter((_, index) => values[index] === null);
    if (failed.length > 0) this.#unreadable.set(constructor, new Set([...(unreadable ?? []), ...failed]));
    return values.flatMap((found, index): Field[] => (found === null ? [] : [[names[index]!, found.value]]));
  }

  #namesOf(constructor: object): PrivateNames | null {
    const known = this.#names.get(constructor);
    if (known !== undefined) return known;
    const names = privateNames(constructor);
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
