/**
 * Runs code outside every AsyncLocalStorage of the application. Timers and sockets keep the stores of the context that
 * creates them: an agent that starts within a request would keep the data of that request for ever.
 */
import { AsyncResource } from 'node:async_hooks';

/** Node keeps the stores of a resource under these symbols: one for each storage until Node 22, one for all from Node 24 on. */
const STORES = new Set(['kResourceStore', 'context_frame']);

/** The application can load the package within a request too, so that the resource is made in that context. */
function withoutStores(resource: AsyncResource): AsyncResource {
  for (const symbol of Object.getOwnPropertySymbols(resource))
    if (STORES.has(symbol.description ?? '')) Reflect.set(resource, symbol, undefined);
  return resource;
}

const root = withoutStores(new AsyncResource('wsguard'));

export const runInRootContext = <T>(task: () => T): T => root.runInAsyncScope(task);
