/** Weak references whose objects a test clears: V8 does not promise when it frees an object. */
export function useClearableWeakRefs(): { clear: (target: object) => void } {
  const cleared = new Set<object>();
  const NativeWeakRef = globalThis.WeakRef;
  beforeAll(() => {
    globalThis.WeakRef = class<T extends object> {
      readonly #target: T;
      constructor(target: T) {
        this.#target = target;
      }
      deref(): T | undefined {
        return cleared.has(this.#target) ? undefined : this.#target;
      }
    } as unknown as WeakRefConstructor;
  });
  afterAll(() => {
    globalThis.WeakRef = NativeWeakRef;
  });
  return { clear: (target) => void cleared.add(target) };
}
