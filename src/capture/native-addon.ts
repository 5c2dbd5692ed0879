/** Loads the addon that forks the process (native/). Types of its functions. */

import { failed } from '../core/outcome.ts';
import type { Failed, ForkRequest } from '../types/index.ts';
import { addonFiles } from './fork-support.ts';

export type ForkResult =
  | { readonly outcome: 'forked'; readonly pid: number; readonly stopMs: number }
  /** `detail`: a thread that works. */
  | { readonly outcome: 'busy'; readonly detail: string }
  | { readonly outcome: 'refused'; readonly detail: string };

/** The end of a child. `lost`: the application has waited for all of its children and got ours. */
export interface ChildEnd {
  readonly code?: number;
  readonly signal?: number;
  readonly lost?: number;
  /** True: it was ended because it waited for a lock that nobody could release. */
  readonly isStalled?: boolean;
  readonly maxRssBytes?: number;
  readonly cpuMs?: number;
}

export interface NativeAddon {
  /** Null, or why this process cannot be forked. */
  checkSupport(): 'imports' | 'threads' | 'memory' | null;
  openPipe(): { readonly read: number; readonly write: number };
  /** The ranges that V8 has marked "not for a fork". Null when they cannot be read. Runs in the thread pool. */
  scanMarkedRanges(): Promise<ArrayBuffer | null>;
  /** Calls `inChild` in a copy of this process. Closes `output` in this process when it forked. */
  forkCapture(request: ForkRequest, inChild: () => void): ForkResult;
  /** Null while the child runs. */
  waitForCapture(pid: number): ChildEnd | null;
  endCapture(pid: number): void;
}

const UNSUPPORTED: Readonly<Record<string, string>> = {
  imports: 'this Node is linked statically, so the thread functions of the child cannot be replaced',
  threads: 'the kernel hides the states of the threads of this process',
  memory: 'a seccomp filter forbids to mark memory for a fork',
};

/** A binary of another machine or C library does not load, and the next one is tried. */
export function loadAddon(files = addonFiles()): NativeAddon | Failed {
  let reason = 'its file is missing';
  for (const file of files) {
    try {
      const module = { exports: {} as NativeAddon };
      process.dlopen(module, file);
      const unsupported = module.exports.checkSupport();
      if (unsupported === null) return module.exports;
      reason = UNSUPPORTED[unsupported] ?? unsupported;
      break;
    } catch (error) {
      reason = (error as Error).message;
    }
  }
  return failed('WSGUARD_FORK_UNAVAILABLE', `cannot fork: ${reason}`);
}
