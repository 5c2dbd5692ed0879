/** At `exit` nothing asynchronous runs any more and the watcher dies with the process: what is said is said here. */
import type { Stop } from '../types.ts';
import type { Body } from './awake.ts';

export function sayLastWords({ bed, log, openAlerts }: Body): Stop {
  const onExit = bed.guard.wrap('exit', (exitCode: number) => {
    const open = [...openAlerts.values()].map(({ id, kind, title }) => ({ id, kind, title }));
    if (open.length > 0) log.warn({ exitCode, open }, 'the process exits with open alerts');
  });
  process.on('exit', onExit);
  return () => void process.removeListener('exit', onExit);
}
