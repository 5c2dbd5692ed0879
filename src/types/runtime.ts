/** Types that all parts of the agent use: clock, log, and functions that undo something. */

/** Ends a timer or a part of the agent. Further calls do nothing. */
export type Stop = () => void;
/** For callers of the public API. Undoes the call that returned it. Further calls do nothing. */
export type Dispose = () => void;

export interface Clock {
  /** Monotonic milliseconds; only differences have a meaning. */
  nowMs(): number;
  /** Milliseconds since 1970. */
  wallMs(): number;
  /** Repeats `task` with an unref'd timer. */
  every(periodMs: number, task: () => void): Stop;
  /** Runs `task` once with an unref'd timer. */
  after(delayMs: number, task: () => void): Stop;
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
export type LogFields = Readonly<Record<string, unknown>>;
/** Messages are constant; variable values go into fields, whose names end with their unit. */
export type Log = Readonly<Record<LogLevel, (fields: LogFields, message: string) => void>>;
