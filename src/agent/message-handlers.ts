/** The application thread's handlers of messages and requests from the watcher. */
import type * as AllocationProfileModule from '../capture/allocation-profile.ts';
import type { ProfileRun } from '../capture/allocation-profile.ts';
import type { FromWatcher, MessageHandlers } from '../channel.ts';
import { lazy } from '../core/lazy.ts';
import type { AllocationProfile, CaptureReadings, Failed } from '../types/index.ts';
import type { AgentContext } from './context.ts';
import type * as HeapSnapshotterModule from './heap-snapshotter.ts';
import type { AppSnapshotter } from './heap-snapshotter.ts';

const FAULT: Failed = {
  outcome: 'failed',
  code: 'WSGUARD_CAPTURE_FAILED',
  reason: 'the snapshot ended on a fault of the agent; the log has the error',
};

export function createMessageHandlers(context: AgentContext): MessageHandlers<FromWatcher> {
  const { sampler, events, openAlerts, preload } = context;
  const { guard } = preload;
  const profile = createProfileSwitch();
  const snapshotter = lazy(() => loadSnapshotter(context));
  return {
    onMessage: {
      ready: () => context.link?.send('attached', sampler.attached()),
      ack: ({ seq, metrics }) => {
        context.metrics = metrics;
        context.samplingLoop?.acknowledge(seq);
      },
      suspicion: (isSuspected) => sampler.setSuspicion(isSuspected),
      snapshot: (snapshot) => events.emit('snapshot', snapshot),
      report: (report) => events.emit('report', report),
      transition(alert) {
        if (alert.event === 'closed') openAlerts.delete(alert.id);
        else openAlerts.set(alert.id, alert);
        events.emit('alert', alert);
      },
    },
    onRequest: {
      profile: (action) => Promise.resolve(guard.run('profile', () => profile(action), null)),
      locateListener: ({ emitter, event }) =>
        guard.runAsync('locate', () => sampler.locateListener(emitter, event), null),
      locateResources: (type) => guard.runAsync('locate', () => sampler.locateResources(type), null),
      pingAll: () => guard.runAsync('ping all', () => sampler.pingAll().then(() => null), null),
      captureReadings: (folder) =>
        Promise.resolve(
          guard.run<CaptureReadings | Failed>('snapshot', () => snapshotter().readings(folder), FAULT),
        ),
      snapshot: (request) =>
        Promise.resolve(guard.run('snapshot', () => snapshotter().write(request), FAULT)),
      fork: (request) => guard.runAsync('snapshot', () => snapshotter().fork(request), FAULT),
    },
  };
}

/** Loads the snapshotter with the first request, because most processes never take a snapshot. */
function loadSnapshotter({ preload, resolved, heartbeat, rawFiles, sampler }: AgentContext): AppSnapshotter {
  const { createHeapSnapshotter } = require('./heap-snapshotter.ts') as typeof HeapSnapshotterModule;
  return createHeapSnapshotter({
    config: resolved.config,
    clock: preload.clock,
    heartbeat,
    flags: preload.preloadHooks.flags,
    onRawFile: (file) => void rawFiles.add(file),
    beforeCapture: () => sampler.noteMark('snapshot'),
  });
}

const profileModule = lazy(
  () => require('../capture/allocation-profile.ts') as typeof AllocationProfileModule,
);

/** Starts, reads or stops the one sampling heap profile. `stop` returns it; null when none ran or it failed. */
function createProfileSwitch(): (action: 'start' | 'read' | 'stop') => AllocationProfile | null {
  let running: ProfileRun | null = null;
  return (action) => {
    if (action === 'read') {
      running?.read();
      return null;
    }
    const result = running?.stop() ?? null;
    running = null;
    if (action === 'stop') return result === null || 'outcome' in result ? null : result;
    const started = profileModule().startProfile();
    if (!('outcome' in started)) running = started;
    return null;
  };
}
