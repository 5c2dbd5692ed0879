/** At `exit` nothing asynchronous runs any more and the watcher dies with the process: what is said is said here. */
import { rmSync } from 'node:fs';
import type * as LockModule from '../child-process/lock.ts';
import { blackBoxFolder, discardSamples } from '../deliver/black-box.ts';
import type { Stop } from '../types/index.ts';
import type { AgentContext } from './start-agent.ts';

export function installExitReport({
  bed,
  log,
  openAlerts,
  rawFiles,
  resolved,
  identity,
  ...body
}: AgentContext): Stop {
  const { dir } = resolved.config;
  const onExit = bed.guard.wrap('exit', (exitCode: number) => {
    const open = [...openAlerts.values()].map(({ id, kind, title }) => ({ id, kind, title }));
    if (open.length > 0) log.warn({ exitCode, open }, 'the process exits with open alerts');
    // Their redaction ends with the watcher.
    for (const file of rawFiles) rmSync(file, { force: true });
    if (body.mayWrite && (open.length > 0 || rawFiles.size > 0)) releaseLock(dir);
    // An end with an `exit` event is no death: the next start must not take it for one.
    if (body.isDirSet) discardSamples(blackBoxFolder(dir, identity.instance));
  });
  process.on('exit', onExit);
  return () => void process.removeListener('exit', onExit);
}

/** Loaded only where something may have been taken or analysed. */
function releaseLock(dir: string): void {
  const lock = require('../child-process/lock.ts') as typeof LockModule;
  lock.releaseLockOnExit(dir);
}
