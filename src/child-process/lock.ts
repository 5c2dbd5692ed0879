/** One analysis at a time among the processes that share a directory, and none left behind by a dead one. */

import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Stop } from '../types/index.ts';
import { makePrivateFolder, removeFile } from '../core/folders.ts';
import { isProcessAlive } from '../core/process.ts';

interface Holder {
  /** Pids mean nothing to another container that shares the directory. */
  readonly host: string;
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
/** Of another host no more can be told than how old it is. */
const FOREIGN_MS = 30 * 60_000;
const entryOf = (path: string): string => join(__dirname, '..', path);
/** For a worker without an owner, halted in the middle of a turn as it may be. A redaction takes its raw file away. */
const FAREWELLS = new Map<string, NodeJS.Signals>([
  [entryOf('analyse/analysis-process.js'), 'SIGKILL'],
  [entryOf('capture/redaction-process.js'), 'SIGCONT'],
]);

/** `null`: held by a living process. Where nothing can be written there is no lock, and none is needed. */
export function takeLock(dir: string, nowMs: number): Lock | null {
  const file = join(dir, NAME);
  const write = (child: number, flag: 'w' | 'wx'): void =>
    writeFileSync(file, JSON.stringify({ host: hostname(), owner: process.pid, child } satisfies Holder), {
      mode: 0o600,
      flag,
    });
  const lock: Lock = {
    hold: (child) => ignoring(() => write(child, 'w')),
    release: () => void removeFile(file),
  };
  for (let attempt = 0; attempt < 2; attempt += 1) {
    try {
      makePrivateFolder(dir);
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
  if (holder === null) return removeFile(file);
  const ageMs = nowMs - statSync(file).mtimeMs;
  if (holder.host !== hostname()) return ageMs > FOREIGN_MS && removeFile(file);
  const starting = holder.child === 0 && ageMs < STARTING_MS;
  const farewell = starting ? null : farewellOf(holder.child);
  if ((starting || farewell !== null) && isProcessAlive(holder.owner)) return false;
  if (farewell !== null) ignoring(() => process.kill(holder.child, farewell));
  return removeFile(file);
}

/** At the start: what a process that was killed left behind stays halted until somebody comes. */
export function clearStaleLock(dir: string, nowMs: number): void {
  const file = join(dir, NAME);
  if (existsSync(file)) ignoring(() => clear(file, nowMs));
}

/** At the end of the process, whose watcher no longer steers its child. */
export function releaseLockOnExit(dir: string): void {
  const file = join(dir, NAME);
  const holder = existsSync(file) ? read(file) : null;
  if (holder === null || holder.owner !== process.pid || holder.host !== hostname()) return;
  const farewell = farewellOf(holder.child);
  if (farewell !== null) ignoring(() => process.kill(holder.child, farewell));
  removeFile(file);
}

/** Pids are used again: only a process that runs one of our workers is taken for ours. */
function farewellOf(pid: number): NodeJS.Signals | null {
  try {
    if (pid <= 0) return null;
    const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    return words.map((word) => FAREWELLS.get(word)).find((signal) => signal !== undefined) ?? null;
  } catch {
    return null;
  }
}

function read(file: string): Holder | null {
  try {
    const { host, owner, child } = JSON.parse(readFileSync(file, 'utf8')) as Partial<Holder>;
    const isWhole = typeof host === 'string' && typeof owner === 'number' && typeof child === 'number';
    return isWhole ? { host, owner, child } : null;
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
