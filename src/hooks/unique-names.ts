/** Names that stay with an object and come out alike after a restart: the label, from the second on with a number. */
export class Names {
  readonly #names = new WeakMap<object, string>();
  readonly #counts = new Map<string, number>();

  of(thing: object, label: string): string {
    const known = this.#names.get(thing);
    if (known !== undefined) return known;
    const count = (this.#counts.get(label) ?? 0) + 1;
    // Labels are class names at most, of which there is no end only in a test that generates classes.
    if (this.#counts.size < 1_000) this.#counts.set(label, count);
    const name = count === 1 ? label : `${label} #${count}`;
    this.#names.set(thing, name);
    return name;
  }
}
