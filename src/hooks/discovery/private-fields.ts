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
    const classes: [object, PrivateNames][] = [];
    for (const constructor of classesOf(instance)) {
      const names = this.#namesOf(constructor);
      // Its accessors are not known.
      if (names === null) return [];
      classes.push([constructor, names]);
    }
    // A class has no field and accessor of one name, but its comments and its subclasses may have the name of an accessor:
    // reading it would run the accessor. Two classes with one name make the expression ambiguous.
    const accessors = new Set(classes.flatMap(([, names]) => names.accessors));
    const fields = classes.flatMap(([, names]) => names.fields);
    const isUnique = (name: string): boolean => fields.indexOf(name) === fields.lastIndexOf(name);
    return classes.flatMap(([constructor, names]) =>
      this.#read(
        instance,
        constructor,
        names.fields.filter((name) => isUnique(name) && !accessors.has(name)),
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
