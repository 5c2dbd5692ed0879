/** Weak references whose objects a test clears: V8 does not promise when it frees an object. */
export interface ClearableWeakRefs {
  clear: (target: object) => void;
  /** Like a major GC after which none of the objects with a weak reference is left. */
  clearAll: () => void;
}

export function useClearableWeakRefs(): ClearableWeakRefs {
  const referenced = new Set<object>();
  const cleared = new Set<object>();
  const NativeWeakRef = globalThis.WeakRef;
  beforeAll(() => {
    globalThis.WeakRef = class<T extends object> {
      readonly #target: T;
      constructor(target: T) {
        this.#target = target;
        referenced.add(target);
      }
      deref(): T | undefined {
        return cleared.has(this.#target) ? undefined : this.#target;
      }
    } as unknown as WeakRefConstructor;
  });
  afterAll(() => {
    globalThis.WeakRef = NativeWeakRef;
  });
  return {
    clear: (target) => void cleared.add(target),
    clearAll: () => {
      for (const target of referenced) cleared.add(target);
    },
  };
}
