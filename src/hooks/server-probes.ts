import type { EventEmitter } from 'node:events';
import type { Guard } from '../core/guard.ts';
import type { Blind, Clock, ConnectionsReading, Culprit, Sample } from '../types/index.ts';
import { Connections } from './connections/connection-tracker.ts';
import type { PreloadHooks } from './preload-hooks.ts';
import { Emitters, type Named } from './emitters/listener-counts.ts';
import { Polling } from './connections/polling-sessions.ts';
import { connectedTo, Discovery, examples, type Handlers } from './discovery/collection-discovery.ts';
import { nothingFound, readFound, type Found } from './discovery/library-servers.ts';
import { KernelEvidence } from './connections/tcp-table.ts';
import { livenessRules, type LivenessRules } from './connections/liveness.ts';
import type * as LocateModule from './inspector/locate-listeners.ts';
import { Names } from './unique-names.ts';
import { RegisteredCollections } from './registered-collections.ts';
import { Retained } from './connections/retained-connections.ts';
import { Slices } from './slice-runner.ts';
import { Wraps } from './connections/ws-instrumentation.ts';

export type HooksReading = Pick<
  Sample,
  'connections' | 'registries' | 'queues' | 'rooms' | 'emitters' | 'blind'
>;

export interface WatchDeps {
  readonly clock: Clock;
  readonly guard: Guard;
  readonly config: { timeScale: number; ping: 'auto' | 'off'; maxConnections: number | null };
  readonly preloadHooks: PreloadHooks;
}

const TICK_MS = 1_000;
/** A tick so late means that the loop stood still: what came in meanwhile has not been read yet. */
const STALL_MS = 500;
const RETAINED_PER_SLICE = 500;
/** Longer than the timers by which healthy libraries hold a closed socket. */
const RELEASED_WITHIN_MS = 30_000;

/** Everything that is watched once the process serves. */
export class Watch {
  readonly registries: RegisteredCollections;
  readonly emitters: Emitters;
  readonly connections: Connections;
  readonly #deps: WatchDeps;
  readonly #rules: LivenessRules;
  readonly #names = new Names();
  readonly #wraps: Wraps;
  readonly #retained: Retained;
  readonly #polling: Polling;
  readonly #discovery: Discovery;
  readonly #slices: Slices;
  readonly #kernel: KernelEvidence;
  readonly #stopTick: () => void;
  #tickedAtMs: number;

  constructor(deps: WatchDeps) {
    const { clock, guard, config, preloadHooks } = deps;
    const { sockets, emitterTracker } = preloadHooks;
    this.#deps = deps;
    this.#rules = livenessRules(config);
    this.#slices = new Slices(clock, guard);
    this.#kernel = new KernelEvidence(clock, guard, config.timeScale);
    this.registries = new RegisteredCollections(guard);
    this.emitters = new Emitters(emitterTracker, guard, this.#names);
    this.#wraps = new Wraps(clock, sockets.open);
    this.#retained = new Retained(RELEASED_WITHIN_MS / config.timeScale);
    this.#polling = new Polling(this.#retained);
    this.#discovery = new Discovery(this.#names);
    this.connections = new Connections({
      clock,
      guard,
      sockets,
      rules: this.#rules,
      wraps: this.#wraps,
      retained: this.#retained,
    });
    for (const socket of sockets.open.keys()) this.connections.opened(socket);
    sockets.observe(this.connections);
    this.#tickedAtMs = clock.nowMs();
    this.#stopTick = clock.every(
      TICK_MS,
      guard.wrap('tick', () => this.#tick()),
    );
  }

  /** `majors`: major collections so far, by which closed connections are judged. */
  read(majors: number): HooksReading {
    const { clock, guard } = this.#deps;
    this.#noteStall();
    void this.#sweep();
    this.#retained.collected(majors);
    void this.#slices.run('retained', () => this.#retained.judge(clock.nowMs(), RETAINED_PER_SLICE));
    const found = this.#found();
    void this.#slices.run('polling', () => this.#polling.lookSlice(found.engines, clock.nowMs()));
    const app = this.registries.read();
    const shared = guard.run(
      'discovery',
      () => this.#discovery.read((thing) => this.registries.has(thing), connectedTo(found)),
      NOTHING_SHARED,
    );
    const connections = this.#population();
    if (connections.unaskable > 0) this.#kernel.ask((peers) => this.connections.retransmits(peers));
    this.#discover(found, connections);
    return {
      connections,
      registries: [...app.registries, ...found.registries, ...shared.registries],
      queues: [...app.queues, ...shared.queues],
      rooms: [...app.rooms, ...found.rooms, ...shared.rooms],
      emitters: this.emitters.read(this.#always(found)),
      blind: this.blind(),
    };
  }

  async pingAll(): Promise<void> {
    if (!this.#rules.pings) return;
    // A round that is under way has passed some of them by.
    await this.#sweep();
    this.connections.askEverybody(true);
    await this.#sweep();
    this.connections.askEverybody(false);
    await new Promise<void>((resolve) =>
      this.#deps.clock.after(this.#rules.answerWithinMs + TICK_MS, resolve),
    );
    this.#noteStall();
    await this.#sweep();
  }

  locate(emitter: string, event: string): Culprit | null {
    const found = this.emitters.find(emitter, this.#always(this.#found()));
    return found === null ? null : this.#deps.guard.run('locate', () => locate(found, event), null);
  }

  servers(): string[] {
    const { preloadHooks, guard } = this.#deps;
    return preloadHooks.sockets.servers().map(({ server, kind }) => {
      const address = guard.run('server', () => server.address(), null);
      if (address === null) return kind;
      return typeof address === 'string' ? `${kind} on ${address}` : `${kind} on port ${address.port}`;
    });
  }

  blind(): Blind[] {
    const kinds = this.#deps.preloadHooks.sockets.servers().map(({ kind }) => kind);
    const blind: Blind[] = [...this.emitters.blind()];
    if (kinds.includes('http2'))
      blind.push({ what: 'HTTP/2 streams', why: 'only HTTP/1 connections are counted' });
    if (!this.#rules.pings)
      blind.push({ what: 'silent peers that the application does not ping', why: 'WSGUARD_PING=off' });
    const { blind: kernel } = this.#kernel;
    const inspector = this.#discovery.blind;
    if (inspector !== null) blind.push({ what: 'registries that were not registered', why: inspector });
    if (kernel !== null) blind.push({ what: 'retransmits (/proc/net/tcp)', why: kernel });
    return blind;
  }

  stop(): void {
    this.#stopTick();
    this.#slices.stop();
    this.#deps.preloadHooks.sockets.observe(null);
    this.#wraps.stop();
    this.#retained.stop();
    this.#polling.stop();
    this.registries.stop();
    this.#discovery.stop();
    this.emitters.stop();
  }

  #tick(): void {
    this.#noteStall();
    this.#tickedAtMs = this.#deps.clock.nowMs();
    void this.#slices.run('newcomers', () => this.connections.greetSlice());
  }

  #sweep(): Promise<void> {
    return this.#slices.run('sweep', () => this.connections.sweepSlice());
  }

  /** A reading runs before what the stall kept waiting is read, so it looks for itself. */
  #noteStall(): void {
    const nowMs = this.#deps.clock.nowMs();
    if (nowMs - this.#tickedAtMs > TICK_MS + STALL_MS) this.connections.stalled(nowMs);
  }

  #found(): Found {
    const { guard, preloadHooks } = this.#deps;
    return guard.run(
      'found',
      () => readFound(preloadHooks.emitterTracker.servers(), this.#names),
      nothingFound(),
    );
  }

  /** The emitters on which leaks are seen without any warning of Node. */
  #always(found: Found): Named[] {
    const servers = this.#deps.preloadHooks.sockets.servers();
    const http = servers.filter(({ kind }) => kind !== 'tcp');
    return [
      { name: 'process', emitter: process as EventEmitter },
      ...http.map(({ server, kind }) => ({
        name: this.#names.of(server, `${kind} server`),
        emitter: server,
      })),
      ...found.emitters,
    ];
  }

  #population(): ConnectionsReading {
    const { config, preloadHooks, guard } = this.#deps;
    const { active, opened, closed, ...rest } = this.connections.read();
    const polling = this.#polling;
    const own = guard.run(
      'server',
      () => preloadHooks.sockets.servers().map(({ server }) => server.maxConnections),
      [],
    );
    const set = own.filter((most) => Number.isFinite(most) && most > 0);
    return {
      ...rest,
      active: { ...active, polling: polling.active },
      openedTotal: { ...opened, polling: polling.opened },
      closedTotal: { ...closed, polling: polling.closed },
      unaskable: rest.unaskable + polling.active,
      ...this.#retained.read(),
      closeCodes: { ...this.connections.closeCodes },
      messagesSentTotal: this.#wraps.sent,
      messagesFailedTotal: this.#wraps.failed,
      rtt: this.#wraps.roundTrips.read(),
      maxConnections:
        config.maxConnections ?? (set.length === 0 ? null : set.reduce((sum, most) => sum + most, 0)),
    };
  }

  /** Not in the turn of a reading. */
  #discover(found: Found, { openedTotal }: ConnectionsReading): void {
    const { clock, preloadHooks } = this.#deps;
    const opened = Object.values(openedTotal).reduce((sum, count) => sum + count, 0);
    if (!this.#discovery.isDue(opened)) return;
    const of = (emitter: EventEmitter, ...events: string[]): Handlers => ({ emitter, events });
    const servers = [
      ...found.emitters.map(({ emitter }) => of(emitter, 'connection', 'request')),
      ...found.namespaces.map((namespace) => of(namespace, 'connection')),
      // An http server's own `connection` handler is core's.
      ...preloadHooks.sockets.servers().map(({ server }) => of(server, 'request', 'upgrade')),
    ];
    const holders = examples(preloadHooks.sockets.open, found);
    const look = (): boolean => this.#discovery.lookSlice(opened, servers, holders);
    clock.after(0, () => void this.#slices.run('discovery', look));
  }
}

const NOTHING_SHARED = { registries: [], queues: [], rooms: [] };

/** Loaded with the first alert: most processes never have one. */
const locate: typeof LocateModule.locateListeners = (...of) =>
  (require('./inspector/locate-listeners.ts') as typeof LocateModule).locateListeners(...of);
