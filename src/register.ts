/** Entry of `--import @wsguard/agent/register`, where `module.isPreloading` is not set. `--require` works too. */
import { isMainThread } from 'node:worker_threads';
import type * as AgentModule from './agent.ts';
import type * as LoadFailureModule from './core/load-failure.ts';

try {
  // Not in the Workers of the application, which the agent does not watch.
  if (isMainThread) (require('./agent.ts') as typeof AgentModule).preload();
} catch (error) {
  // An error of a preload ends the process.
  try {
    (require('./core/load-failure.ts') as typeof LoadFailureModule).logNotLoaded(error);
  } catch {
    // `--permission` denies reading that file too.
  }
}
