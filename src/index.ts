/**
 * Public API of the package, and the entry of `--require`. As a preload it installs only the hooks; the agent and the two
 * classes are loaded with their first use, so that a process that never serves pays a few milliseconds.
 */
import { isMainThread } from 'node:worker_threads';
import type * as AgentModule from './agent.ts';
import type { StartOptions } from './config/schema.ts';
import type { Agent } from './agent/api.ts';
import type * as HeapAnalyzerModule from './heap-analyzer.ts';
import type * as LoadFailureModule from './core/load-failure.ts';
import type * as MemoryMonitorModule from './memory-monitor.ts';

export type { Agent } from './agent/api.ts';
export type { StartOptions } from './config/schema.ts';
export type {
  Alert,
  Analysis,
  Audit,
  Culprit,
  Delivery,
  Dispose,
  MemoryStats,
  Report,
  Snapshot,
  Status,
  Suspect,
  TimeToLimit,
} from './types/index.ts';
export type MemoryMonitor = MemoryMonitorModule.MemoryMonitor;
export declare const MemoryMonitor: typeof MemoryMonitorModule.MemoryMonitor;
export type HeapAnalyzer = HeapAnalyzerModule.HeapAnalyzer;
export type SnapshotProcedure = HeapAnalyzerModule.SnapshotProcedure;
export declare const HeapAnalyzer: typeof HeapAnalyzerModule.HeapAnalyzer;

/**
 * Starts the agent and returns it; later calls return the same agent. `options` are the settings of docs/configuration.md
 * in camel case; the environment wins over them. After a preload all options are ignored, with one warning. Never throws:
 * an invalid setting is logged and its default stays in force.
 */
export function start(options?: StartOptions): Agent {
  return agentModule().start(options);
}

// Node's lexer (cjs-module-lexer) reads these assignments to learn the names that an ESM `import { ... }` can use. It drops
// a name that `Object.defineProperty` redefines with a getter in the same file, so the getters are defined in a function.
exports.MemoryMonitor = undefined;
exports.HeapAnalyzer = undefined;
defineLazy(
  'MemoryMonitor',
  () => (require('./memory-monitor.ts') as typeof MemoryMonitorModule).MemoryMonitor,
);
defineLazy('HeapAnalyzer', () => (require('./heap-analyzer.ts') as typeof HeapAnalyzerModule).HeapAnalyzer);

function defineLazy(name: string, get: () => unknown): void {
  Object.defineProperty(exports, name, { enumerable: true, get });
}

function agentModule(): typeof AgentModule {
  return require('./agent.ts') as typeof AgentModule;
}

try {
  // Loaded first: the package can be loaded within an AsyncLocalStorage of the application.
  require('./core/root-context.ts');
} catch {
  // `start()` loads it again, and reports the error.
}
// The preload also runs in the Workers of the application, which the agent does not watch. A pool starts many of them.
if (module.isPreloading && isMainThread) {
  try {
    agentModule().preload();
  } catch (error) {
    // A preload that throws ends the process. `--permission` can deny reading some of our own files.
    try {
      (require('./core/load-failure.ts') as typeof LoadFailureModule).logNotLoaded(error);
    } catch {
      // It denies reading that file too.
    }
  }
}
