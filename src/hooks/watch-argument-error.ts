/** The error that the agent throws into the application: a wrong argument of an API method, at the call. */

const EXPECTED = {
  name: 'a name (a string that is not empty)',
  thing: 'a Map, a Set, an Array or a function that returns a number',
  rooms: 'a Map of rooms',
  oldestAgeMs: 'a function that returns milliseconds',
  emitter: 'an EventEmitter',
  connection: 'a socket or a stream',
  id: 'an id (a string that is not empty)',
  event: 'an event: alert, snapshot or report',
  listener: 'a function',
  promClientRegistry: 'a Registry of prom-client',
} as const;

export function watchArgumentError(argument: keyof typeof EXPECTED, value: unknown): TypeError {
  const error = new TypeError(`wsguard: expected ${EXPECTED[argument]}, got ${textOf(argument, value)}`);
  return Object.assign(error, { code: 'WSGUARD_WATCH_ARGUMENT' });
}

function textOf(argument: keyof typeof EXPECTED, value: unknown): string {
  if (value === '' || (argument === 'event' && typeof value === 'string')) return `'${value}'`;
  if (value === null) return 'null';
  return Array.isArray(value) ? 'an Array' : typeof value;
}
