/** Gives each object a name that stays: its label, with a number from the second object of that label on. */
import { startOf } from '../core/safe-text.ts';

export class UniqueNames {
  readonly #names = new WeakMap<object, string>();
  readonly #counts = new Map<string, number>();

  /** Objects that appear in the same order get the same names after a restart. */
  nameOf(thing: object, fullLabel: string): string {
    const existing = this.#names.get(thing);
    if (existing !== undefined) return existing;
    const label = startOf(fullLabel, MAX_LABEL_CHARS);
    const count = (this.#counts.get(label) ?? 0) + 1;
    if (this.#counts.size < MAX_LABELS) this.#counts.set(label, count);
    const name = count === 1 ? label : `${label} #${count}`;
    this.#names.set(thing, name);
    return name;
  }
}

/** Labels are names of classes and variables. Only a test that generates classes has more. */
const MAX_LABELS = 1_000;
/** A client can choose the name of a namespace of Socket.IO, of up to 1 MB. Names are shown with 128 characters. */
const MAX_LABEL_CHARS = 300;
