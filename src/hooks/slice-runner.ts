import type { Guard } from '../core/guard.ts';
import type { Clock } from '../types/index.ts';

/** The pause between two slices, in which the loop is the application's. */
const BETWEEN_MS = 1;

/** Runs long work in slices: the first at once, the next ones later; one round of each name at a time. */
export class Slices {
  readonly #clock: Clock;
  readonly #guard: Guard;
  readonly #rounds = new Map<string, Promise<void>>();
  #stopped = false;

  constructor(clock: Clock, guard: Guard) {
    this.#clock = clock;
    this.#guard = guard;
  }

  /** `slice` says whether the round is complete. Resolves with the round, also when it was cut short by a fault. */
  run(name: string, slice: () => boolean): Promise<void> {
    const running = this.#rounds.get(name);
    if (running !== undefined) return running;
    if (this.#step(name, slice)) return DONE;
    const round = new Promise<void>((resolve) => {
      const next = (): void => {
        if (this.#stopped || this.#step(name, slice)) {
          this.#rounds.delete(name);
          resolve();
        } else this.#clock.after(BETWEEN_MS, next);
      };
      this.#clock.after(BETWEEN_MS, next);
    });
    this.#rounds.set(name, round);
    return round;
  }

  stop(): void {
    this.#stopped = true;
  }

  #step(name: string, slice: () => boolean): boolean {
    return this.#guard.run(name, slice, true);
  }
}

const DONE = Promise.resolve();
