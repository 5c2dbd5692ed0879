import type { EventEmitter } from 'node:events';
import type { Duplex } from 'node:stream';
import type { Config } from '../config/schema.ts';
import type { Guard } from '../core/guard.ts';
import type { PreloadHooks } from '../hooks/preload-hooks.ts';
import { socketOf } from '../hooks/connections/watched-connections.ts';
import type { RoomsMap, Watchable } from '../hooks/registered-collections.ts';
import { Watch } from '../hooks/server-probes.ts';
import { ProcessProbes } from '../sample/process-probes.ts';
import type { Blind, Clock, Culprit, Dispose, Sample, SampleMark } from '../types/index.ts';

/** Reads a `Sample` of this process. Made when the agent wakes; everything it patches is undone by `stop`. */
export interface Sampler {
  /** Cheap; sweeps over the connections run sliced in between. */
  read(): Sample;
  watchRegistry(name: string, thing: Watchable): Dispose;
  watchQueue(name: string, thing: Watchable, options?: { oldestAgeMs?: () => number }): Dispose;
  watchRooms(name: string, map: RoomsMap): Dispose;
  watchEmitter(name: string, emitter: EventEmitter): Dispose;
  watchConnection(connection: Duplex, options?: { id?: string }): Dispose;
  /** Asks every connection that may be asked, and resolves when the answering window is over. */
  pingAll(): Promise<void>;
  /** While on, a sample of up to 200 silent connections is asked once a minute. */
  setSuspicion(on: boolean): void;
  /** Function, file and line of the listeners of `event` (`*`: of the event with most). */
  locateListener(emitter: string, event: string): Promise<Culprit | null>;
  /** For the start line. */
  attached(): { servers: string[]; pings: boolean; blind: readonly Blind[] };
  noteMark(mark: SampleMark): void;
  stop(): void;
}

export interface SamplerDeps {
  readonly clock: Clock;
  readonly guard: Guard;
  readonly config: Config;
  readonly preloadHooks: PreloadHooks;
}

/** Wall and monotonic time part by so much when a laptop slept, or somebody set the clock. */
const CLOCK_JUMP_MS = 5_000;

export function createSampler(deps: SamplerDeps): Sampler {
  const { clock, guard, preloadHooks } = deps;
  const probes = new ProcessProbes({ clock, guard, flags: preloadHooks.flags });
  const watch = new Watch(deps);
  const jumped = clockJumps(clock);
  let marks: SampleMark[] = [];
  let seq = 0;

  return {
    read() {
      if (jumped()) marks.push('clock-jump');
      const ofProcess = probes.read();
      const hooks = watch.read(ofProcess.gc.majorTotal);
      const sample: Sample = {
        seq: seq++,
        atMs: clock.nowMs(),
        wallMs: clock.wallMs(),
        uptimeMs: process.uptime() * 1_000,
        ...ofProcess,
        ...hooks,
        blind: [...hooks.blind, ...probes.blind()],
        marks,
      };
      marks = [];
      return sample;
    },
    watchRegistry: (name, thing) => watch.registries.watchRegistry(name, thing),
    watchQueue: (name, thing, options) => watch.registries.watchQueue(name, thing, options),
    watchRooms: (name, map) => watch.registries.watchRooms(name, map),
    watchEmitter: (name, emitter) => watch.emitters.watch(name, emitter),
    watchConnection: (connection) => watch.connections.handOver(socketOf(connection)),
    pingAll: () => watch.pingAll(),
    setSuspicion: (on) => watch.connections.suspect(on),
    locateListener: (emitter, event) => Promise.resolve(watch.locate(emitter, event)),
    attached: () => ({
      servers: watch.servers(),
      pings: deps.config.ping === 'auto',
      blind: [...watch.blind(), ...probes.blind()],
    }),
    noteMark: (mark) => void marks.push(mark),
    stop() {
      watch.stop();
      probes.stop();
      preloadHooks.stop();
    },
  };
}

function clockJumps(clock: Clock): () => boolean {
  const ahead = (): number => clock.wallMs() - clock.nowMs();
  let aheadMs = ahead();
  return () => {
    const beforeMs = aheadMs;
    aheadMs = ahead();
    return Math.abs(aheadMs - beforeMs) > CLOCK_JUMP_MS;
  };
}
