/** Reports that the agent could not be loaded, with as few other files as possible: one of them may be the reason. */
import type * as StderrModule from './stderr.ts';

export function logNotLoaded(error: unknown): void {
  const { code, message } = error as NodeJS.ErrnoException;
  // The same shape as the lines of core/log.ts, which may be the file that could not be loaded.
  const line = {
    level: 50,
    pid: process.pid,
    name: 'wsguard',
    code: 'WSGUARD_FAULT',
    part: 'load',
    error: code ?? message,
    msg: 'the agent could not be loaded; the application runs without it',
  };
  try {
    const { createStderrWriter } = require('./stderr.ts') as typeof StderrModule;
    createStderrWriter()(`${JSON.stringify(line)}\n`);
  } catch {
    // `--permission` can deny reading this file too.
  }
}
