/** Runs our code inside the host: never throws into it, counts faults, switches a part off after repeated ones. */
export interface Guard {
  /** Runs `task`; on a fault returns `fallback`. A part that is switched off is not run at all. */
  run<T>(part: string, task: () => T, fallback: T): T;
  /** The same as a function to hand to the host. */
  wrap<A extends readonly unknown[]>(part: string, task: (...args: A) => void): (...args: A) => void;
  /** For work that ends later; resolves with `fallback` on a fault. */
  runAsync<T>(part: string, task: () => Promise<T>, fallback: T): Promise<T>;
  faults(): Readonly<Record<string, number>>;
  isOff(part: string): boolean;
}

export type OnFault = (fault: { part: string; error: unknown; switchedOff: boolean }) => void;

/** So many faults in a row switch a part off; one success starts the count again. */
const FAULTS_BEFORE_OFF = 5;
/** Parts are named in our own code, so this is a bound against a mistake of ours. */
const MAX_PARTS = 200;

export function createGuard(onFault: OnFault): Guard {
  const total = new Map<string, number>();
  const inARow = new Map<string, number>();
  const off = new Set<string>();

  function fault(part: string, error: unknown): void {
    if (!total.has(part) && total.size >= MAX_PARTS) return;
    const row = (inARow.get(part) ?? 0) + 1;
    total.set(part, (total.get(part) ?? 0) + 1);
    inARow.set(part, row);
    const switchedOff = row >= FAULTS_BEFORE_OFF;
    if (switchedOff) off.add(part);
    if (row > 1 && !switchedOff) return;
    try {
      onFault({ part, error, switchedOff });
    } catch {
      // Where even telling fails, silence is the only harmless answer.
    }
  }

  function run<T>(part: string, task: () => T, fallback: T): T {
    if (off.has(part)) return fallback;
    try {
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
      if (off.has(part)) return fallback;
      try {
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
