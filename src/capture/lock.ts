/** One analysis at a time among the processes that share a directory, and none left behind by a dead one. */

import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Stop } from '../types.ts';
import { isAlive, openDir, remove } from './store.ts';

interface Holder {
  readonly owner: number;
  readonly child: number;
}

export interface Lock {
  /** The child that works under it: killed by the next one when we die without a word, halted as it may be. */
  readonly hold: (child: number) => void;
  readonly release: Stop;
}

const NAME = '.analysis.lock';
/** A lock without a child is one whose owner is about to start it, for so long. */
const STARTING_MS = 10_000;

/** `null`: held by a living process. Where nothing can be written there is no lock, and none is needed. */
export function takeLock(dir: string, nowMs: number): Lock | null {
  const file = join(dir, NAME);
  const write = (child: number, flag: 'w' | 'wx'): void =>
    writeFileSync(file, JSON.stringify({ owner: process.pid, child } satisfies Holder), {
      mode: 0o600,
      flag,
    });
  const lock: Lock = {
    hold: (child) => ignoring(() => write(child, 'w')),
    release: () => void remove(file),
  };
  for (let attempt = 0; attempt < 2; attempt += 1) {
    try {
      openDir(dir);
      write(0, 'wx');
      return lock;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST')
        return { hold: () => undefined, release: () => undefined };
      if (!clear(file, nowMs)) return null;
    }
  }
  return null;
}

/** Takes away a lock that nobody works under: its owner is dead (the child goes too), or its child is. */
function clear(file: string, nowMs: number): boolean {
  const holder = read(file);
  if (holder === null) return remove(file);
  const starting = holder.child === 0 && nowMs - statSync(file).mtimeMs < STARTING_MS;
  const working = starting || (holder.child > 0 && isOurs(holder.child));
  if (working && isAlive(holder.owner)) return false;
  if (working && !starting) ignoring(() => process.kill(holder.child, 'SIGKILL'));
  return remove(file);
}

/** Pids are used again: only a process that runs one of our workers is taken for ours. */
function isOurs(pid: number): boolean {
  try {
    return /worker\.js\0/.test(readFileSync(`/proc/${pid}/cmdline`, 'latin1'));
  } catch {
    return false;
  }
}

function read(file: string): Holder | null {
  try {
    const { owner, child } = JSON.parse(readFileSync(file, 'utf8')) as Partial<Holder>;
    return typeof owner === 'number' && typeof child === 'number' ? { owner, child } : null;
  } catch {
    return null;
  }
}

function ignoring(task: () => unknown): void {
  try {
    task();
  } catch {
    // The lock is a courtesy; its failure must not be one of the analysis.
  }
}
