/** Entry of `--import @wsguard/agent/register`, where `module.isPreloading` is not set. `--require` works too. */
import { preload } from './agent.ts';

preload();
