import type { EventEmitter } from 'node:events';
import type { Guard } from '../guard.ts';
import type { Blind, Clock, ConnectionsReading, Culprit, Sample } from '../types.ts';
import { Connections } from './connections.ts';
import type { Dormant } from './dormant.ts';
import { Emitters, type Named } from './emitters.ts';
import { Polling } from './engine-io.ts';
import { readFound, type Found } from './found.ts';
import { retransmittingPeers } from './kernel.ts';
import { livenessRules, type LivenessRules } from './liveness.ts';
import { locateListeners } from './locate.ts';
import { Names } from './names.ts';
import { Registries } from './registries.ts';
import { Retained } from './retained.ts';
import { Slices } from './slices.ts';
import { Wraps } from './ws.ts';

export type HooksReading = Pick<
  Sample,
  'connections' | 'registries' | 'queues' | 'rooms' | 'emitters' | 'blind'
>;

export interface WatchDeps {
  readonly clock: Clock;
  readonly guard: Guard;
  readonly config: { timeScale: number; ping: 'auto' | 'off'; maxConnections: number | null };
  readonly dormant: Dormant;
}

const TICK_MS = 1_000;
/** A tick so late means that the loop stood still: what came in meanwhile has not been read yet. */
const STALL_MS = 500;
const RETAINED_PER_SLICE = 500;
const MINUTE_MS = 60_000;
const SHORTEST_KERNEL_PERIOD_MS = 5_000;
/** Longer than the timers by which healthy libraries hold a closed socket. */
const RELEASED_WITHIN_MS = 30_000;

/** Everything that is watched once the process serves. */
export class Watch {
  readonly registries: Registries;
  readonly emitters: Emitters;
  readonly connections: Connections;
  readonly #deps: WatchDeps;
  readonly #rules: LivenessRules;
  readonly #names = new Names();
  readonly #wraps: Wraps;
  readonly #retained: Retained;
  readonly #polling: Polling;
  readonly #slices: Slices;
  readonly #stopTick: () => void;
  #tickedAtMs: number;
  #kernelReadAtMs = -Infinity;
  #kernelBlind: string | null = null;

  constructor(deps: WatchDeps) {
    const { clock, guard, config, dormant } = deps;
    const { sockets, births } = dormant;
    this.#deps = deps;
    this.#rules = livenessRules(config);
    this.#slices = new Slices(clock, guard);
    this.registries = new Registries(guard);
    this.emitters = new Emitters(births, guard, this.#names);
    this.#wraps = new Wraps(clock, sockets.open);
    this.#retained = new Retained(RELEASED_WITHIN_MS / config.timeScale);
    this.#polling = new Polling(this.#retained);
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
    guard.run('polling', () => this.#polling.look(found.engines, clock.nowMs()), undefined);
    const app = this.registries.read();
    this.#askKernel();
    return {
      connections: this.#population(),
      registries: [...app.registries, ...found.registries],
      queues: app.queues,
      rooms: [...app.rooms, ...found.rooms],
      emitters: this.emitters.read(this.#always(found)),
      blind: this.blind(),
    };
  }

  async askAll(): Promise<void> {
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
    return found === null ? null : this.#deps.guard.run('locate', () => locateListeners(found, event), null);
  }

  servers(): string[] {
    return this.#deps.dormant.sockets.servers().map(({ server, kind }) => {
      const address = server.address();
      if (address === null) return kind;
      return typeof address === 'string' ? `${kind} on ${address}` : `${kind} on port ${address.port}`;
    });
  }

  blind(): Blind[] {
    const kinds = this.#deps.dormant.sockets.servers().map(({ kind }) => kind);
    const blind: Blind[] = [...this.emitters.blind()];
    if (kinds.includes('http2'))
      blind.push({ what: 'HTTP/2 streams', why: 'only HTTP/1 connections are counted' });
    if (!this.#rules.pings)
      blind.push({ what: 'silent peers that the application does not ping', why: 'WSGUARD_PING=off' });
    if (this.#kernelBlind !== null)
      blind.push({ what: 'retransmits (/proc/net/tcp)', why: this.#kernelBlind });
    return blind;
  }

  stop(): void {
    this.#stopTick();
    this.#slices.stop();
    this.#deps.dormant.sockets.observe(null);
    this.#wraps.stop();
    this.#retained.stop();
    this.registries.stop();
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
    const { guard, dormant } = this.#deps;
    const none: Found = { registries: [], rooms: [], engines: [], emitters: [] };
    return guard.run('found', () => readFound(dormant.births.servers(), this.#names), none);
  }

  /** The emitters on which leaks are seen without any warning of Node. */
  #always(found: Found): Named[] {
    const servers = this.#deps.dormant.sockets.servers();
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
    const { config, dormant } = this.#deps;
    const { active, opened, closed, ...rest } = this.connections.read();
    const polling = this.#polling;
    const own = dormant.sockets.servers().map(({ server }) => server.maxConnections);
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

  /** Only where somebody cannot be asked, and seldom: the table costs 2 us a line. */
  #askKernel(): void {
    const { clock, guard, config } = this.#deps;
    const periodMs = Math.max(MINUTE_MS / config.timeScale, SHORTEST_KERNEL_PERIOD_MS);
    if (process.platform !== 'linux' || this.#kernelBlind !== null) return;
    if (this.connections.read().unaskable === 0 || clock.nowMs() - this.#kernelReadAtMs < periodMs) return;
    this.#kernelReadAtMs = clock.nowMs();
    void guard.runAsync('kernel', () => this.#readKernel(), undefined);
  }

  async #readKernel(): Promise<void> {
    const peers = await retransmittingPeers().catch(
      (error: NodeJS.ErrnoException) => error.code ?? 'unreadable',
    );
    if (typeof peers === 'string') this.#kernelBlind = peers;
    else if (peers === null) this.#kernelBlind = 'too many connections in this network namespace';
    else this.connections.retransmits(peers);
  }
}
