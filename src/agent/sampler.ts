/** Reads the samples of this process: the hooks of the server and the probes of the process in one object. */
import type { EventEmitter } from 'node:events';
import type { Config } from '../config/schema.ts';
import type { Guard } from '../core/guard.ts';
import { uptime } from '../core/primordials.ts';
import type { ConnectionObject, WatchConnectionOptions } from '../hooks/connections/watched-connections.ts';
import type { PreloadHooks } from '../hooks/preload-hooks.ts';
import type { RoomsMap, Watchable } from '../hooks/registered-collections.ts';
import { ResourceProbe } from '../hooks/resources/resource-probe.ts';
import { ServerProbes } from '../hooks/server-probes.ts';
import { ProcessProbes, type ProcessReading } from '../sample/process-probes.ts';
import { withPublicNames } from '../sample/public-names.ts';
import type { Blind, Clock, Culprit, Dispose, Sample, SampleMark } from '../types/index.ts';
import { readRemedies } from './remedies.ts';

export interface Sampler {
  /**
   * Reads the process for the next sample, and prepares the reading of its servers. Optional: in a turn of the event loop
   * of its own it makes the turn of `read` shorter.
   */
  prepare(): void;
  /** Takes less than 2 ms with 10,000 connections (`npm run bench -- hooks`), because sweeps over many run in later slices. */
  read(): Sample;
  watchRegistry(name: string, thing: Watchable): Dispose;
  watchQueue(name: string, thing: Watchable, options?: { oldestAgeMs?: () => number }): Dispose;
  watchRooms(name: string, map: RoomsMap): Dispose;
  watchEmitter(name: string, emitter: EventEmitter): Dispose;
  watchConnection(connection: ConnectionObject, options?: WatchConnectionOptions): Dispose;
  /** Pings every silent connection that may be pinged. Resolves when the time for the replies is over. */
  pingAll(): Promise<void>;
  /** While on, a sample of up to 200 silent connections is pinged once a minute. */
  setSuspicion(on: boolean): void;
  /** Function, file and line of the listeners of `event` (`*`: of the event with most listeners). */
  locateListener(emitter: string, event: string): Promise<Culprit | null>;
  /** Function, file and line of the callbacks of active resources. `type` is a `ResourceType`. */
  locateResources(type: string): Promise<Culprit | null>;
  /** For the start line. */
  attached(): { servers: string[]; pings: boolean; blind: readonly Blind[] };
  /** Adds a mark to the next sample. */
  noteMark(mark: SampleMark): void;
  /** Undoes every hook. */
  stop(): void;
}

export interface SamplerDeps {
  readonly clock: Clock;
  readonly guard: Guard;
  readonly config: Config;
  readonly preloadHooks: PreloadHooks;
}

/** Monotonic and wall time differ by this much after a laptop slept, or after somebody set the clock. */
const MIN_CLOCK_JUMP_MS = 5_000;

export function createSampler(deps: SamplerDeps): Sampler {
  const { clock, guard, preloadHooks } = deps;
  const processProbes = new ProcessProbes({ clock, guard, flags: preloadHooks.flags });
  const serverProbes = new ServerProbes(deps);
  const { collections, listeners, connections } = serverProbes;
  const resources = createResourceProbe(deps);
  const blind = (): Blind[] => [...processProbes.blind(), ...resources.blind()];
  const hasClockJumped = createClockJumpDetector(clock);
  let marks: SampleMark[] = [];
  let seq = 0;
  let prepared: ProcessReading | null = null;

  return {
    prepare() {
      prepared = processProbes.read();
      serverProbes.prepare();
    },
    read() {
      if (hasClockJumped()) marks.push('clock-jump');
      const processReading = prepared ?? processProbes.read();
      prepared = null;
      const serverReading = serverProbes.read(processProbes.completedMajorGcs());
      const remedies = readRemedies();
      const sample: Sample = {
        seq,
        atMs: clock.nowMs(),
        wallMs: clock.wallMs(),
        uptimeMs: uptime() * 1_000,
        ...processReading,
        ...withPublicNames(serverReading),
        ...(remedies === null ? {} : { remedies }),
        resources: guard.run('resources', () => resources.read(processReading.descriptors), {}),
        blind: [...serverReading.blind, ...blind()],
        marks,
      };
      seq += 1;
      marks = [];
      return sample;
    },
    watchRegistry: (name, thing) => collections.watchRegistry(name, thing),
    watchQueue: (name, thing, options) => collections.watchQueue(name, thing, options),
    watchRooms: (name, map) => collections.watchRooms(name, map),
    watchEmitter: (name, emitter) => listeners.watch(name, emitter),
    watchConnection: (connection, options) => connections.watch(connection, options),
    pingAll: () => serverProbes.pingAll(),
    setSuspicion: (on) => serverProbes.setSuspicion(on),
    locateListener: (emitter, event) => serverProbes.locateListeners(emitter, event),
    locateResources: (type) => Promise.resolve(guard.run('locate', () => resources.locate(type), null)),
    attached: () => ({
      servers: serverProbes.servers(),
      pings: deps.config.ping === 'auto',
      blind: [...serverProbes.blind(), ...blind()],
    }),
    noteMark: (mark) => void marks.push(mark),
    stop() {
      for (const part of [serverProbes, processProbes, preloadHooks]) part.stop();
    },
  };
}

const createResourceProbe = ({ clock, config, preloadHooks }: SamplerDeps): ResourceProbe =>
  new ResourceProbe({
    clock,
    timeScale: config.timeScale,
    nodeClearTimeout: preloadHooks.clearTimeout,
    countAccepted: () => preloadHooks.sockets.open.size,
  });

function createClockJumpDetector(clock: Clock): () => boolean {
  const wallAheadMs = (): number => clock.wallMs() - clock.nowMs();
  let previousMs = wallAheadMs();
  return () => {
    const currentMs = wallAheadMs();
    const changeMs = Math.abs(currentMs - previousMs);
    previousMs = currentMs;
    return changeMs > MIN_CLOCK_JUMP_MS;
  };
}
