/** What the watcher may order on the application's thread. */
import type { Ears, WatcherSide } from '../channel.ts';
import type { Failed } from '../types.ts';
import type { Body } from './awake.ts';
import { createCamera } from './camera.ts';

const FAILED: Failed = {
  outcome: 'failed',
  code: 'WSGUARD_CAPTURE_FAILED',
  reason: 'a fault of the agent, see the log',
};

export function createOrders({ sampler, beat, bed, resolved }: Body): Ears<WatcherSide>['answer'] {
  const { guard, clock } = bed;
  const camera = createCamera({
    config: resolved.config,
    clock,
    beat,
    flags: { execArgv: process.execArgv, nodeOptions: bed.dormant.nodeOptions, v8: process.versions.v8 },
    onStop: () => sampler.noteMark('snapshot'),
  });
  return {
    locate: ({ emitter, event }) =>
      guard.runAsync('locate', () => sampler.locateListener(emitter, event), null),
    askAll: () => guard.runAsync('ask all', () => sampler.askAll().then(() => null), null),
    snapshot: ({ folder, label }) =>
      Promise.resolve(guard.run('snapshot', () => camera.take(folder, label), FAILED)),
  };
}
