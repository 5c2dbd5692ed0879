/**
 * Makes a value, mostly a module, with its first use and keeps it. An application that reloads its code clears
 * `require.cache`: each further `require` would then load another copy, and the list of children of the calling module keeps
 * all of them.
 */
export function lazy<Value>(make: () => Value): () => Value {
  let made: { readonly value: Value } | null = null;
  return () => (made ??= { value: make() }).value;
}
