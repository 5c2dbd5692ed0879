/**
 * All data types. A unit ends the name of a number; a number without a unit is a count. `null` means that the value does not
 * exist here. `atMs` and `...AtMs` of samples are monotonic milliseconds; `wallMs` is milliseconds since 1970.
 */
export * from './alert.ts';
export * from './analysis.ts';
export * from './black-box.ts';
export * from './capture.ts';
export * from './monitor.ts';
export * from './runtime.ts';
export * from './sample.ts';
export * from './status.ts';
export * from './verdict.ts';
