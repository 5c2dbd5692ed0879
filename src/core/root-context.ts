/**
 * Runs code outside every AsyncLocalStorage of the application. Timers and sockets keep the stores of the context that
 * creates them: an agent that starts within a request would keep the data of that request for ever.
 */
import { AsyncResource } from 'node:async_hooks';

type Run = <T>(task: () => T) => T;

/** Bound when the package is loaded, which is before the application runs anything in a context. */
export const runInRootContext = AsyncResource.bind((task: () => unknown) => task()) as Run;
