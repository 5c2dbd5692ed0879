/** Calls `read` once for each key, and keeps each result as long as the returned function lives. */
export function cached<Value>(read: (key: string) => Value): (key: string) => Value {
  const values = new Map<string, Value>();
  return (key) => {
    if (!values.has(key)) values.set(key, read(key));
    return values.get(key)!;
  };
}
