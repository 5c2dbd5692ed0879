/**
 * Observes events of `process` without listeners of the agent. Node warns about the eleventh listener of an event, so a
 * listener of the agent would be one too many in an application that has ten, and `removeAllListeners` would remove it. A
 * listener of `message` would also keep the process alive.
 */
import type { Dispose } from '../types/index.ts';
import { apply } from './primordials.ts';

/** Gets the first two arguments of the event. */
type Observer = (first: unknown, second: unknown) => void;
type Emit = (this: unknown, ...args: unknown[]) => boolean;
interface Observed {
  readonly event: string;
  readonly observer: Observer;
  readonly when: 'before' | 'after';
}

export class ProcessEvents {
  readonly #target: { emit: Emit };
  #observed: readonly Observed[] = [];
  #wrapped: Emit | null = null;
  #unwrap = (): void => {};

  constructor(target: object) {
    this.#target = target as { emit: Emit };
  }

  /** `when`: before or after the listeners of the application, which can end the process. `observer` must not throw. */
  observe(event: string, observer: Observer, when: Observed['when'] = 'before'): Dispose {
    const observed = { event, observer, when };
    this.#observed = [...this.#observed, observed];
    if (this.#wrapped === null) this.#wrap();
    return () => {
      this.#observed = this.#observed.filter((other) => other !== observed);
      if (this.#observed.length === 0) this.#unwrap();
    };
  }

  /** Without iterators, which an application can replace: an error here would be one of `process.emit`. */
  #notify(when: Observed['when'], args: unknown[]): void {
    const observed = this.#observed;
    for (let index = 0; index < observed.length; index += 1) {
      const entry = observed[index];
      if (entry?.event === args[0] && entry?.when === when) entry?.observer(args[1], args[2]);
    }
  }

  /** A wrapper that somebody added later still calls ours: it then stays, for later observers too. */
  #wrap(): void {
    const target = this.#target;
    const isOwn = Object.hasOwn(target, 'emit');
    const original = target.emit;
    const notify = (when: Observed['when'], args: unknown[]): void => this.#notify(when, args);
    const emit: Emit = function emit(this, ...args) {
      notify('before', args);
      try {
        return apply(original, this, args) as boolean;
      } finally {
        notify('after', args);
      }
    };
    target.emit = emit;
    this.#wrapped = emit;
    this.#unwrap = () => {
      if (target.emit !== emit) return;
      if (isOwn) target.emit = original;
      else delete (target as { emit?: Emit }).emit;
      this.#wrapped = null;
    };
  }
}

export const processEvents = new ProcessEvents(process);

/** Runs at the `exit` event, before the listeners of the application. Only synchronous work is done then. */
export const atExit = (task: () => void): Dispose =>
  processEvents.observe('exit', () => {
    try {
      task();
    } catch {
      // The process ends, and no log line could be written any more.
    }
  });
