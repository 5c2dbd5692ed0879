/** What the watcher may order on the application's thread. */
import type { MessageHandlers, FromWatcher } from '../channel.ts';
import type { AllocationProfile, Failed } from '../types/index.ts';
import type { AgentContext } from './start-agent.ts';
import type * as HeapSnapshotterModule from './heap-snapshotter.ts';
import type { HeapSnapshotter } from './heap-snapshotter.ts';
import type * as ProfileModule from '../capture/allocation-profile.ts';
import type { ProfileRun } from '../capture/allocation-profile.ts';

const FAILED: Failed = {
  outcome: 'failed',
  code: 'WSGUARD_CAPTURE_FAILED',
  reason: 'a fault of the agent, see the log',
};

export function createRequestHandlers({
  sampler,
  beat,
  bed,
  resolved,
  rawFiles,
}: AgentContext): MessageHandlers<FromWatcher>['onRequest'] {
  const { guard, clock } = bed;
  let snapshotter: HeapSnapshotter | null = null;
  /** Loaded for the first order: most processes never get one. */
  const openSnapshotter = (): HeapSnapshotter => {
    const { createHeapSnapshotter } = require('./heap-snapshotter.ts') as typeof HeapSnapshotterModule;
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
    locateListener: ({ emitter, event }) =>
      guard.runAsync('locate', () => sampler.locateListener(emitter, event), null),
    pingAll: () => guard.runAsync('ask all', () => sampler.pingAll().then(() => null), null),
    snapshot: ({ folder, label }) =>
      Promise.resolve(
        guard.run('snapshot', () => (snapshotter ??= openSnapshotter()).take(folder, label), FAILED),
      ),
  };
}
