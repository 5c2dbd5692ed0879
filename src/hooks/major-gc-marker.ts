/**
 * Tells when a major GC has run. V8 clears weak references in major GCs only, so a full list is searched for objects that
 * are gone once after each of them: earlier it would find none, and later it would refuse objects that are alive.
 */
export class MajorGcMarker {
  #ref: WeakRef<object> | null = null;

  /** True at the first call, and once after each major GC. */
  hasRun(): boolean {
    if (this.#ref?.deref() !== undefined) return false;
    this.#ref = new WeakRef({});
    return true;
  }
}
