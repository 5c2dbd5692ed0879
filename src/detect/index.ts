/** Every detector, in the order that `status()` lists them. */

import { backlog } from './slow-consumers.ts';
import { queues, registries, rooms } from './registries.ts';
import type { Detector } from './detector.ts';
import { divergence } from './divergence.ts';
import { external, native } from './external.ts';
import { floor } from './heap-growth.ts';
import { listeners } from './listeners.ts';
import { connectionLimit, descriptorLimit, gcPressure, loopLag } from './process-conditions.ts';
import { retained } from './retained.ts';
import { exhaustion, threshold } from './memory-conditions.ts';
import { unanswering } from './zombies.ts';
import { unclosed } from './unclosed.ts';

/** Each weighs memory or counts against connections. */
export const LEAK_DETECTORS: readonly Detector[] = [
  unanswering,
  listeners,
  registries,
  rooms,
  queues,
  backlog,
  retained,
  unclosed,
  external,
  native,
  floor,
  divergence,
];

export const CONDITION_DETECTORS: readonly Detector[] = [
  threshold,
  exhaustion,
  connectionLimit,
  descriptorLimit,
  gcPressure,
  loopLag,
];
