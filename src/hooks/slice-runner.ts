/** Runs long work in slices, so that the event loop serves the application between them. */
import type { Guard } from '../core/guard.ts';
import type { Clock } from '../types/index.ts';

const PAUSE_MS = 1;
const DONE = Promise.resolve();

export class SliceRunner {
  readonly #clock: Clock;
  readonly #guard: Guard;
  readonly #running = new Map<string, Promise<void>>();
  #stopped = false;

  constructor(clock: Clock, guard: Guard) {
    this.#clock = clock;
    this.#guard = guard;
  }

  /**
   * Runs `slice` now, and again after a pause until it returns true. Only one round of a name runs at a time: a second call
   * returns the promise of the first. The promise resolves also when a fault ends the round.
   */
  run(name: string, slice: () => boolean): Promise<void> {
    const running = this.#running.get(name);
    if (running !== undefined) return running;
    if (this.#stopped) return DONE;
    if (this.#runSlice(name, slice)) return DONE;
    const round = new Promise<void>((resolve) => {
      const next = (): void => {
        if (this.#stopped || this.#runSlice(name, slice)) {
          this.#running.delete(name);
          resolve();
        } else this.#clock.after(PAUSE_MS, next);
      };
      this.#clock.after(PAUSE_MS, next);
    });
    this.#running.set(name, round);
    return round;
  }

  stop(): void {
    this.#stopped = true;
  }

  #runSlice(name: string, slice: () => boolean): boolean {
    return this.#guard.run(name, slice, true);
  }
}
