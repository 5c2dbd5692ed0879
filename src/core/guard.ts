/**
 * The guard runs the agent's code inside the application. An error of ours is counted and never thrown into the
 * application; a part of the agent that fails repeatedly is switched off, unless the process lacks a resource.
 */
export interface Guard {
  /** Returns the result of `task`; `fallback` after an error, and always for a part that is switched off. */
  run<T>(part: string, task: () => T, fallback: T): T;
  /** A function for the application to call, such as an event listener or a timer callback. */
  wrap<A extends readonly unknown[]>(part: string, task: (...args: A) => void): (...args: A) => void;
  /** Resolves with `fallback` after an error or a rejection. Never rejects. */
  runAsync<T>(part: string, task: () => Promise<T>, fallback: T): Promise<T>;
  /** Number of faults by part. */
  faults(): Readonly<Record<string, number>>;
  isOff(part: string): boolean;
}

/** Called with the first fault of a series without a success, and with the one that switches the part off. */
export type OnFault = (fault: { part: string; error: unknown; switchedOff: boolean }) => void;

/** This many faults without a success between them switch a part off. */
const MAX_FAULTS_IN_A_ROW = 5;
/** The process or the machine has run out of something. That passes, and the part works again. */
const EXHAUSTION_CODES = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'ENOSPC', 'EDQUOT', 'EAGAIN']);
/** The names of parts are constants in our code; the bound guards against a name with a variable in it. */
const MAX_PARTS = 200;

export function createGuard(onFault: OnFault): Guard {
  const total = new Map<string, number>();
  const inARow = new Map<string, number>();
  const off = new Set<string>();

  function fault(part: string, error: unknown): void {
    try {
      count(part, error);
    } catch {
      // The log itself fails, or the application has replaced a method of Map. There is no place to report it.
    }
  }

  function count(part: string, error: unknown): void {
    if (!total.has(part) && total.size >= MAX_PARTS) return;
    const row = (inARow.get(part) ?? 0) + 1;
    total.set(part, (total.get(part) ?? 0) + 1);
    inARow.set(part, row);
    const switchedOff = row >= MAX_FAULTS_IN_A_ROW && !isExhaustion(error);
    if (switchedOff) off.add(part);
    if (row === 1 || switchedOff) onFault({ part, error, switchedOff });
  }

  function run<T>(part: string, task: () => T, fallback: T): T {
    try {
      if (off.has(part)) return fallback;
      const result = task();
      if (inARow.size > 0) inARow.delete(part);
      return result;
    } catch (error) {
      fault(part, error);
      return fallback;
    }
  }

  return {
    run,
    wrap:
      (part, task) =>
      (...args) =>
        run(part, () => task(...args), undefined),
    async runAsync(part, task, fallback) {
      try {
        if (off.has(part)) return fallback;
        const result = await task();
        inARow.delete(part);
        return result;
      } catch (error) {
        fault(part, error);
        return fallback;
      }
    },
    faults: () => Object.fromEntries(total),
    isOff: (part) => off.has(part),
  };
}

const isExhaustion = (error: unknown): boolean =>
  error instanceof Error && EXHAUSTION_CODES.has((error as NodeJS.ErrnoException).code ?? '');

/** Brings an error that was caught elsewhere to a guard. */
export function rethrow(error: unknown): never {
  throw error;
}
