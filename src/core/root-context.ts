/**
 * Runs code outside every AsyncLocalStorage of the application. Timers and sockets keep the stores of the context that
 * creates them: an agent that starts within a request would keep the data of that request for ever.
 */
import { AsyncResource } from 'node:async_hooks';

/** Created when the package is loaded, which is before the application runs anything in a context. */
const root = new AsyncResource('WSGUARD', { requireManualDestroy: true });

export const runInRootContext = <T>(task: () => T): T => root.runInAsyncScope(task);
