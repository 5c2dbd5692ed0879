/**
 * The public face. As a `--require` preload it installs the sleeping agent; everything else is loaded when it is
 * asked for, so that a process that never serves pays next to nothing.
 */
import { writeSync } from 'node:fs';
import type * as AgentModule from './agent.ts';
import type { StartOptions } from './config/schema.ts';
import type { Agent } from './agent/api.ts';
import type * as HeapAnalyzerModule from './heap-analyzer.ts';
import type * as MemoryMonitorModule from './memory-monitor.ts';

export type { Agent } from './agent/api.ts';
export type { StartOptions } from './config/schema.ts';
export type {
  Alert,
  Analysis,
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
export declare const HeapAnalyzer: typeof HeapAnalyzerModule.HeapAnalyzer;

/** Starts the agent, or returns the one that runs. */
export function start(options?: StartOptions): Agent {
  return agentModule().start(options);
}

// Assigned by name: that is how Node's lexer learns which names an ESM `import { ... }` may ask for. It takes a name
// back when it sees it defined with a getter, hence the function.
exports.MemoryMonitor = undefined;
exports.HeapAnalyzer = undefined;
define('MemoryMonitor', () => (require('./memory-monitor.ts') as typeof MemoryMonitorModule).MemoryMonitor);
define('HeapAnalyzer', () => (require('./heap-analyzer.ts') as typeof HeapAnalyzerModule).HeapAnalyzer);

function define(name: string, get: () => unknown): void {
  Object.defineProperty(exports, name, { enumerable: true, get });
}

function sayNotLoaded(error: unknown): void {
  const { code, message } = error as NodeJS.ErrnoException;
  const line = { level: 50, pid: process.pid, name: 'wsguard', code: 'WSGUARD_FAULT', part: 'load' };
  try {
    writeSync(2, `${JSON.stringify({ ...line, error: code ?? message, msg: 'the agent was not loaded' })}\n`);
  } catch {
    // Nowhere to say it.
  }
}

function agentModule(): typeof AgentModule {
  return require('./agent.ts') as typeof AgentModule;
}

if (module.isPreloading) {
  try {
    agentModule().preload();
  } catch (error) {
    // A preload that throws ends the process; an agent that cannot load is no reason for that. `--permission` may hide
    // some of our own files.
    sayNotLoaded(error);
  }
}
