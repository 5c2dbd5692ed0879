const { defineProperty, deleteProperty, getOwnPropertyDescriptor } = Reflect;

/**
 * The frames of the stack above the function `above`, at most `maxFrames`. `Error.prepareStackTrace` of the application does
 * not run and is afterwards what it was. It is redefined and not assigned: the setter of an accessor would run, and the
 * application would keep our function. Throws where the application has frozen `Error`.
 */
export function callSites(maxFrames: number, above?: (...args: never[]) => unknown): NodeJS.CallSite[] {
  const prepare = getOwnPropertyDescriptor(Error, 'prepareStackTrace');
  const limit = getOwnPropertyDescriptor(Error, 'stackTraceLimit');
  const holder: { stack?: unknown } = {};
  try {
    redefine('stackTraceLimit', limit, maxFrames);
    redefine('prepareStackTrace', prepare, (_: unknown, frames: unknown) => frames);
    Error.captureStackTrace(holder, above);
    return holder.stack as NodeJS.CallSite[];
  } finally {
    restore('stackTraceLimit', limit);
    restore('prepareStackTrace', prepare);
  }
}

function redefine(name: string, before: PropertyDescriptor | undefined, value: unknown): void {
  // A sealed `Error` permits a new value only.
  const flags = before?.writable === true ? before : { writable: true, configurable: true, enumerable: true };
  Object.defineProperty(Error, name, { ...flags, value });
}

function restore(name: string, before: PropertyDescriptor | undefined): void {
  if (before === undefined) deleteProperty(Error, name);
  else defineProperty(Error, name, before);
}
