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
  const received = argument === 'event' && typeof value === 'string' ? `'${value}'` : typeof value;
  const error = new TypeError(`wsguard: expected ${EXPECTED[argument]}, got ${received}`);
  return Object.assign(error, { code: 'WSGUARD_WATCH_ARGUMENT' });
}
