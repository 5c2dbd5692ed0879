/**
 * The agent's work at the `exit` event: logs open alerts, deletes unredacted snapshots and the black box's samples. All of
 * it is synchronous, because no asynchronous work runs after `exit` and the watcher thread ends with the process.
 */
import { rmSync } from 'node:fs';
import type * as LockModule from '../child-process/lock.ts';
import { processEvents } from '../core/process-events.ts';
import { blackBoxFolder, discardSamples } from '../deliver/black-box.ts';
import type { Stop } from '../types/index.ts';
import type { AgentContext } from './context.ts';

export function installExitReport(context: AgentContext): Stop {
  const { preload, log, openAlerts, rawFiles, resolved, identity, noFilesReason, isDirSet } = context;
  const { dir } = resolved.config;
  const onExit = preload.guard.wrap('exit', (exitCode: unknown) => {
    const open = [...openAlerts.values()].map(({ id, kind, title }) => ({ id, kind, title }));
    if (open.length > 0) log.warn({ exitCode, open }, 'the process exits with open alerts');
    for (const file of rawFiles) rmSync(file, { force: true });
    // Without an alert or a snapshot no child process has run, and the lock was never taken.
    if (noFilesReason === null && (open.length > 0 || rawFiles.size > 0)) releaseLock(dir);
    // Samples that stay would make the next start report `process-died`.
    if (isDirSet) discardSamples(blackBoxFolder(dir, identity.instance));
  });
  return processEvents.observe('exit', onExit);
}

function releaseLock(dir: string): void {
  const { releaseLockOfThisProcess } = require('../child-process/lock.ts') as typeof LockModule;
  releaseLockOfThisProcess(dir);
}
