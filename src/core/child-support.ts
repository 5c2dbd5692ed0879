/**
 * Decides whether the agent may start a child process. It starts `process.execPath` with a script of its own: in an
 * application that was packed into one file that would start the application a second time.
 */
import { isAllowed } from './process.ts';

interface PackedProcess {
  /** Set by pkg. */
  readonly pkg?: unknown;
  /** Set by nexe. */
  readonly __nexe?: unknown;
  readonly versions: Readonly<Record<string, string | undefined>>;
}

/** Null when it may. Call it on the application thread (`isAllowed`). */
export function noChildReason(isSea: () => boolean = isSingleExecutable): string | null {
  if (!isAllowed('child'))
    return 'child processes are forbidden by --permission without --allow-child-process';
  const { pkg, __nexe, versions } = process as unknown as PackedProcess;
  if (pkg !== undefined || __nexe !== undefined || isSea())
    return 'the application is a single executable, and a child process would start it again';
  if (versions['electron'] !== undefined || versions['bun'] !== undefined)
    return 'the executable of this process is not Node';
  return null;
}

function isSingleExecutable(): boolean {
  try {
    const { isSea } = require('node:sea') as { isSea: () => boolean };
    return isSea();
  } catch {
    // Node before 20.12.
    return false;
  }
}
