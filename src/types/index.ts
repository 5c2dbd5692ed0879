/**
 * All data types, and the types of the clock and the log. A unit ends the name of a number; a number without a unit is a
 * count. `null` means that the value does not exist here. `atMs` and `...AtMs` of samples are monotonic milliseconds;
 * `wallMs` is milliseconds since 1970.
 */
export * from './alert.ts';
export * from './analysis.ts';
export * from './capture.ts';
export * from './census.ts';
export * from './monitor.ts';
export * from './sample.ts';
export * from './status.ts';
export * from './verdict.ts';

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
