/** For `--import @wsguard/agent/register`, where `module.isPreloading` is not set, and `--require` of this file. */
import { preload } from './agent.ts';

preload();
