/**
 * The nouns of the house. Units end the name; a bare number is a count; `null` is known to be absent.
 * All `...AtMs` and `atMs` of samples are monotonic milliseconds since the agent started; `wallMs` is epoch.
 */
export * from './types/alert.ts';
export * from './types/analysis.ts';
export * from './types/capture.ts';
export * from './types/box.ts';
export * from './types/edges.ts';
export * from './types/monitor.ts';
export * from './types/sample.ts';
export * from './types/verdict.ts';
