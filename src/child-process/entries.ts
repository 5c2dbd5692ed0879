/** The scripts that run in child processes, and the signal that ends each of them when its parent died. */
import { join } from 'node:path';

export interface ChildEntry {
  readonly script: string;
  /** A CPU share (`cpu-share.ts`) may have halted the orphan, so SIGTERM alone would not reach it. */
  readonly orphanSignal: NodeJS.Signals;
  readonly nodeFlags?: readonly string[];
}

const inDist = (path: string): string => join(__dirname, '..', path);

export const ANALYSIS: ChildEntry = {
  script: inDist('analyse/analysis-process.js'),
  orphanSignal: 'SIGKILL',
};
export const CENSUS: ChildEntry = {
  script: inDist('analyse/census-process.js'),
  orphanSignal: 'SIGKILL',
};
export const RENUMBERING: ChildEntry = {
  script: inDist('analyse/renumber-process.js'),
  orphanSignal: 'SIGKILL',
};
/** It continues, sees that its parent is gone, removes the raw file and exits. */
export const REDACTION: ChildEntry = {
  script: inDist('capture/redaction-process.js'),
  orphanSignal: 'SIGCONT',
  // Node 20 takes 91 MB for a file of 85 MB with the young generation of its default, and 26 MB with this one (measured).
  nodeFlags: ['--max-semi-space-size=1'],
};
