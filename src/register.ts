/** Entry of `--import @wsguard/agent/register`, where `module.isPreloading` is not set. `--require` works too. */
import type * as AgentModule from './agent.ts';
import type * as LoadFailureModule from './core/load-failure.ts';

try {
  (require('./agent.ts') as typeof AgentModule).preload();
} catch (error) {
  // An error of a preload ends the process.
  try {
    (require('./core/load-failure.ts') as typeof LoadFailureModule).logNotLoaded(error);
  } catch {
    // `--permission` denies reading that file too.
  }
}
