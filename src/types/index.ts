/**
 * The nouns of the house. Units end the name; a bare number is a count; `null` is known to be absent.
 * All `...AtMs` and `atMs` of samples are monotonic milliseconds since the agent started; `wallMs` is epoch.
 */
export * from './alert.ts';
export * from './analysis.ts';
export * from './capture.ts';
export * from './black-box.ts';
export * from './status.ts';
export * from './monitor.ts';
export * from './sample.ts';
export * from './verdict.ts';
