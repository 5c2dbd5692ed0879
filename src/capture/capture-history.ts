/**
 * Remembers the captures of a process, and in a directory those of its predecessors: what they cost, and whether a forked
 * capture works with this version of Node.
 */

import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readSmallRegularFile } from '../core/files.ts';
import { removeFile } from '../core/folders.ts';
import type { CaptureCost, Clock, LearnedCost, LearnedCosts } from '../types/index.ts';
import { libcName } from './fork-support.ts';
import { temporaryName } from './snapshot-files.ts';

interface State {
  /** Another version of Node starts anew. */
  readonly node: string;
  readonly learned: LearnedCosts;
  /** Epoch milliseconds of the last forked capture; null before the first one. */
  readonly forkedAtMs: number | null;
  readonly crashesInARow: number;
  readonly forkOffBecause: string | null;
}

const FILE = 'captures.json';
const MAX_FILE_BYTES = 16 * 1024;
/** Chosen: one crash can have a cause outside, such as an administrator's signal. */
const MAX_CRASHES_IN_A_ROW = 2;
/** Node itself has 40,000 nodes right after its start (measured on Node 20). */
const MIN_NODES = 20_000;
/**
 * Other processes delay a fork: on two cores with a load of 15 it took 20 to 450 ms instead of 12. A prediction above the
 * budget would end all captures, so a pause counts in full only when a second one confirms it.
 */
const MAX_PAUSE_STEP = 4;
/** Chosen: only a capture shows that the machine is not busy any more, and a long predicted pause allows none. */
const PAUSE_HALF_LIFE_MS = 3_600_000;
/** The prediction is an upper bound for what was measured; a snapshot with far more nodes contains garbage. */
const MAX_OVERRUN = 2;

export class CaptureHistory {
  readonly #file: string | null;
  readonly #clock: Pick<Clock, 'wallMs'>;
  #state: State;

  /** `dir` is null where nothing may be kept. */
  constructor(dir: string | null, clock: Pick<Clock, 'wallMs'>) {
    this.#clock = clock;
    this.#file = dir === null ? null : join(dir, FILE);
    const kept = this.#file === null ? null : readState(this.#file);
    this.#state = kept?.node === nodeVersion() ? kept : EMPTY();
  }

  /** The pause of the last fork counts less the older it is. */
  get learned(): LearnedCosts {
    const { learned, forkedAtMs } = this.#state;
    if (learned.fork === null || forkedAtMs === null) return learned;
    const halvings = Math.max(0, this.#clock.wallMs() - forkedAtMs) / PAUSE_HALF_LIFE_MS;
    return { ...learned, fork: { ...learned.fork, pauseMs: learned.fork.pauseMs * 0.5 ** halvings } };
  }

  /** Why this version of Node is not forked, and how to try again; null when it is forked. */
  get forkOffBecause(): string | null {
    const because = this.#state.forkOffBecause;
    return because === null || this.#file === null
      ? because
      : `${because}; delete ${this.#file} to try again`;
  }

  addInProcess(learned: LearnedCost): void {
    this.#update({ learned: { ...this.#state.learned, inprocess: learned } });
  }

  /** A complete snapshot of a forked child. The first one of a version must have a plausible number of nodes. */
  addForked(measured: LearnedCost, predicted: CaptureCost): void {
    const learned = { ...measured, pauseMs: Math.min(measured.pauseMs, predicted.pauseMs * MAX_PAUSE_STEP) };
    const isFirst = this.learned.fork === null;
    const isPlausible = learned.nodes >= MIN_NODES && learned.nodes <= predicted.nodes * MAX_OVERRUN;
    this.#update(
      isFirst && !isPlausible
        ? {
            forkOffBecause: `its first forked snapshot had ${learned.nodes} nodes, about ${predicted.nodes} were expected`,
          }
        : {
            learned: { ...this.#state.learned, fork: learned },
            forkedAtMs: this.#clock.wallMs(),
            crashesInARow: 0,
          },
    );
  }

  /** A forked child was ended by a fault. */
  addCrash(reason: string): void {
    const crashesInARow = this.#state.crashesInARow + 1;
    const isOff = crashesInARow >= MAX_CRASHES_IN_A_ROW;
    this.#update({
      crashesInARow,
      forkOffBecause: isOff ? `${crashesInARow} forked captures in a row failed: ${reason}` : null,
    });
  }

  #update(change: Partial<State>): void {
    this.#state = { ...this.#state, ...change };
    if (this.#file === null) return;
    const temporary = temporaryName(this.#file);
    try {
      writeFileSync(temporary, JSON.stringify(this.#state), { mode: 0o600, flag: 'wx' });
      renameSync(temporary, this.#file);
    } catch {
      // The state is a convenience: without it the next process learns again.
      removeFile(temporary);
    }
  }
}

/** A Node of another C library has other thread functions, and so is another version. */
const nodeVersion = (): string =>
  [process.version, process.platform, process.arch, libcName()].filter((part) => part !== null).join(' ');

const EMPTY = (): State => ({
  node: nodeVersion(),
  learned: { fork: null, inprocess: null },
  forkedAtMs: null,
  crashesInARow: 0,
  forkOffBecause: null,
});

function readState(file: string): State | null {
  try {
    const state = JSON.parse(readSmallRegularFile(file, MAX_FILE_BYTES)) as Partial<State> | null;
    return typeof state?.node === 'string' && typeof state.learned === 'object'
      ? { ...EMPTY(), ...state }
      : null;
  } catch {
    return null;
  }
}
