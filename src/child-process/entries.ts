/** The scripts that run in child processes, and the signal that ends each of them when its parent died. */
import { join } from 'node:path';

export interface ChildEntry {
  readonly script: string;
  /** A CPU share (`cpu-share.ts`) may have halted the orphan, so SIGTERM alone would not reach it. */
  readonly orphanSignal: NodeJS.Signals;
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
/** It continues, sees that its parent is gone, removes the raw file and exits. */
export const REDACTION: ChildEntry = {
  script: inDist('capture/redaction-process.js'),
  orphanSignal: 'SIGCONT',
};
