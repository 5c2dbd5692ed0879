/** What the watcher may order on the application's thread. */
import type { Ears, WatcherSide } from '../channel.ts';
import type { AllocationProfile, Failed } from '../types/index.ts';
import type { Body } from './running-agent.ts';
import type * as CameraModule from './snapshotter.ts';
import type { HeapSnapshotter } from './snapshotter.ts';
import type * as ProfileModule from '../capture/allocation-profile.ts';
import type { ProfileRun } from '../capture/allocation-profile.ts';

const FAILED: Failed = {
  outcome: 'failed',
  code: 'WSGUARD_CAPTURE_FAILED',
  reason: 'a fault of the agent, see the log',
};

export function createOrders({ sampler, beat, bed, resolved, rawFiles }: Body): Ears<WatcherSide>['answer'] {
  const { guard, clock } = bed;
  let camera: HeapSnapshotter | null = null;
  /** Loaded for the first order: most processes never get one. */
  const openCamera = (): HeapSnapshotter => {
    const { createHeapSnapshotter } = require('./snapshotter.ts') as typeof CameraModule;
    return createHeapSnapshotter({
      config: resolved.config,
      clock,
      beat,
      flags: bed.preloadHooks.flags,
      onRaw: (file) => void rawFiles.add(file),
      onStop: () => sampler.noteMark('snapshot'),
    });
  };
  let running: ProfileRun | null = null;
  const profile = (order: 'start' | 'stop'): AllocationProfile | null => {
    const before = running?.stop() ?? null;
    running = null;
    if (order === 'stop') return before === null || 'outcome' in before ? null : before;
    const { startProfile } = require('../capture/allocation-profile.ts') as typeof ProfileModule;
    const started = startProfile();
    if (!('outcome' in started)) running = started;
    return null;
  };
  return {
    profile: (order) => Promise.resolve(guard.run('profile', () => profile(order), null)),
    locate: ({ emitter, event }) =>
      guard.runAsync('locate', () => sampler.locateListener(emitter, event), null),
    askAll: () => guard.runAsync('ask all', () => sampler.pingAll().then(() => null), null),
    snapshot: ({ folder, label }) =>
      Promise.resolve(guard.run('snapshot', () => (camera ??= openCamera()).take(folder, label), FAILED)),
  };
}
