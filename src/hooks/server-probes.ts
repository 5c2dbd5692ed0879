/** Composes the hooks of a serving process: starts them, runs their sweeps, and reads them into one part of a sample. */
import type { EventEmitter } from 'node:events';
import type { Guard } from '../core/guard.ts';
import { lazy } from '../core/lazy.ts';
import type { Blind, Clock, ConnectionsReading, Culprit, Sample } from '../types/index.ts';
import { ConnectionTracker } from './connections/connection-tracker.ts';
import { suspicionProbesOf, unprobedPeers } from './connections/probe-report.ts';
import { listeningAddress } from './connections/listening-address.ts';
import { livenessRules, type LivenessRules } from './connections/liveness.ts';
import { PollingSessions } from './connections/polling-sessions.ts';
import { RetainedConnections } from './connections/retained-connections.ts';
import { NativeServers } from './connections/native-servers.ts';
import type { TrackedServer } from './connections/socket-tracker.ts';
import { TcpTable } from './connections/tcp-table.ts';
import { WsInstrumentation } from './connections/ws-instrumentation.ts';
import { emptyReading, type DiscoveryReading } from './discovery/candidate.ts';
import type * as AdditionModule from './discovery/addition-observer.ts';
import { CollectionDiscovery, type SearchStart } from './discovery/collection-discovery.ts';
import { readField } from './discovery/field-reader.ts';
import { connectedIds, exampleConnections } from './discovery/example-connections.ts';
import {
  namespacesOf,
  noLibraryServers,
  readLibraryServers,
  type LibraryServers,
} from './discovery/library-servers.ts';
import { ListenerChanges } from './emitters/listener-changes.ts';
import { eventOfPublicName, ListenerCounts, type NamedEmitter } from './emitters/listener-counts.ts';
import type * as LocateModule from './inspector/locate-listeners.ts';
import type { PreloadHooks } from './preload-hooks.ts';
import { RegisteredCollections, RoomCounter } from './registered-collections.ts';
import { SliceRunner } from './slice-runner.ts';
import { UniqueNames } from './unique-names.ts';

export type ServerReading = Pick<
  Sample,
  'connections' | 'registries' | 'queues' | 'rooms' | 'emitters' | 'blind'
>;

export interface ServerProbesDeps {
  readonly clock: Clock;
  readonly guard: Guard;
  readonly config: { timeScale: number; ping: 'auto' | 'off'; maxConnections: number | null };
  readonly preloadHooks: PreloadHooks;
}

const TICK_MS = 1_000;
/** A tick that is this late means that the event loop was blocked: the replies of that time are not read yet. */
const MIN_STALL_MS = 500;
const RETAINED_PER_SLICE = 500;
/** A sweep over so many takes about 0.25 ms, so it is part of the turn that takes the sample. */
const MAX_SWEPT_WHILE_READING = 250;
/** Longer than the timers by which healthy libraries keep a closed socket (15 to 30 s). */
const RETAINED_AFTER_MS = 30_000;

/** Each reads 16 counts at most. */
const LISTENER_READINGS_PER_SECOND = 20;
/** Handlers of a shutdown refer to the server that they stop. */
const SHUTDOWN_EVENTS = ['SIGTERM', 'SIGINT', 'SIGHUP', 'beforeExit', 'exit'];
const MAX_EMITTERS_SEARCHED = 100;

export class ServerProbes {
  readonly collections: RegisteredCollections;
  readonly listeners: ListenerCounts;
  readonly connections: ConnectionTracker;
  readonly #deps: ServerProbesDeps;
  readonly #rules: LivenessRules;
  readonly #names = new UniqueNames();
  readonly #roomCounter = new RoomCounter();
  readonly #instrumentation: WsInstrumentation;
  readonly #retained: RetainedConnections;
  readonly #polling: PollingSessions;
  readonly #discovery: CollectionDiscovery;
  readonly #slices: SliceRunner;
  readonly #nativeServers = new NativeServers(() => Object.keys(require.cache));
  #observer: AdditionModule.AdditionObserver | null = null;
  #hasSuspicion = false;
  readonly #tcpTable: TcpTable;
  readonly #stopTick: () => void;
  #tickedAtMs: number;

  constructor(deps: ServerProbesDeps) {
    const { clock, guard, config, preloadHooks } = deps;
    const { sockets, emitters } = preloadHooks;
    this.#deps = deps;
    this.#rules = livenessRules(config);
    this.#slices = new SliceRunner(clock, guard);
    this.#tcpTable = new TcpTable(clock, guard, config.timeScale);
    this.collections = new RegisteredCollections(guard);
    const changes = createListenerChanges(deps);
    emitters.onWebSocket = (ws) => changes.noteOpened(ws);
    this.listeners = new ListenerCounts(emitters, guard, this.#names, changes);
    this.#instrumentation = new WsInstrumentation(clock, sockets.open);
    this.#retained = new RetainedConnections(RETAINED_AFTER_MS / config.timeScale);
    this.#polling = new PollingSessions(this.#retained);
    this.#discovery = new CollectionDiscovery(this.#names, clock);
    this.connections = new ConnectionTracker({
      clock,
      guard,
      sockets,
      rules: this.#rules,
      instrumentation: this.#instrumentation,
      retained: this.#retained,
      servers: () => emitters.servers(),
      onWebSocketClosed: () => changes.noteClosed(),
    });
    for (const socket of sockets.open.keys()) this.connections.socketOpened(socket);
    sockets.observe(this.connections);
    this.#tickedAtMs = clock.nowMs();
    this.#stopTick = clock.every(
      TICK_MS,
      guard.wrap('tick', () => this.#tick()),
    );
  }

  /** Does what `read` would do in addition. Optional: in a turn of the event loop of its own it makes that of `read` shorter. */
  prepare(): void {
    const { guard, preloadHooks } = this.#deps;
    guard.run(
      'discovery',
      () => this.#discovery.prepare(connectedIds(namespacesOf(preloadHooks.emitters.servers()))),
      undefined,
    );
  }

  /**
   * `majorGcs`: major GCs of this process so far; null while V8 marks the heap. Starts the next round of each sweep; later
   * slices run by timers.
   */
  read(majorGcs: number | null): ServerReading {
    const { clock, guard } = this.#deps;
    const library = this.#libraryServers();
    this.#noteStall();
    // The collections are read below: connections that are counted up to a second later would look like leaked entries.
    void this.#slices.run('new sockets', () => this.connections.classifySlice());
    if (majorGcs !== null) this.#retained.setMajorGcs(majorGcs);
    this.#startSweeps({ isMarking: majorGcs === null });
    void this.#slices.run('polling', () => this.#polling.scanSlice(library.engines, clock.nowMs()));
    this.#takeObserved(library);
    const registered = this.collections.read();
    const discovered = guard.run('discovery', () => this.#readDiscovery(library), emptyReading());
    const connections = this.#readConnections();
    // Lost peers can be the only ones that cannot be probed. Without another read they would stay lost.
    if (connections.unaskable > 0 || this.connections.hasLostPeers)
      this.#tcpTable.requestRead((peers) => this.connections.setLostPeers(peers));
    this.#searchCollections(library, connections);
    return {
      connections,
      registries: [...registered.registries, ...library.registries, ...discovered.registries],
      queues: [...registered.queues, ...discovered.queues],
      rooms: [...registered.rooms, ...library.rooms, ...discovered.rooms],
      emitters: this.listeners.read(this.#serverEmitters(library)),
      blind: this.blind(),
    };
  }

  /** While on, a sample of the silent connections is pinged. */
  setSuspicion(on: boolean): void {
    this.#hasSuspicion = on;
    if (on) this.#endObservation();
    this.connections.setSuspicion(on);
  }

  /** Pings every silent connection that may be pinged. Resolves when the time for the replies is over. */
  async pingAll(): Promise<void> {
    if (!this.#rules.pings) return;
    this.#endObservation();
    // A sweep that is running has already passed some connections.
    await this.#sweep();
    this.connections.setPingEveryone(true);
    await this.#sweep();
    this.connections.setPingEveryone(false);
    await new Promise<void>((resolve) =>
      this.#deps.clock.after(this.#rules.replyWithinMs + TICK_MS, resolve),
    );
    this.#noteStall();
    await this.#sweep();
  }

  /** `emitter` is a name of a reading; null when there is no such emitter. Takes up to 20 s. */
  async locateListeners(emitter: string, event: string): Promise<Culprit | null> {
    const { guard, clock } = this.#deps;
    const functions = guard.run('locate', () => this.listeners.targetListeners(emitter, event), null);
    if (functions !== null) return guard.run('locate', () => locateTargetListeners(functions, event), null);
    const target = this.listeners.find(emitter, this.#serverEmitters(this.#libraryServers()));
    if (target === null) return null;
    const name = eventOfPublicName(target, event);
    const culprit = await guard.runAsync('locate', () => locateListeners(target, name, clock), null);
    if (culprit === null || name === event) return culprit;
    return { ...culprit, name: event, text: culprit.text.replaceAll(name, event) };
  }

  /** For the start line: `http on port 8080`. */
  servers(): string[] {
    return this.#servers().map(({ server, kind }) => {
      const address = this.#deps.guard.run('server', () => listeningAddress(server), null);
      return address === null ? kind : `${kind} on ${address}`;
    });
  }

  blind(): Blind[] {
    const { sockets } = this.#deps.preloadHooks;
    const parts = [this.listeners, this.collections, sockets, this.#polling, this.connections];
    const blind: Blind[] = parts.flatMap((part) => part.blind());
    if (this.#servers().some(({ kind }) => kind === 'http2'))
      blind.push({ what: 'HTTP/2 streams', why: 'only HTTP/1 connections are counted' });
    blind.push(...this.#deps.guard.run('native servers', () => this.#nativeServers.blind(), []));
    if (!this.#rules.pings)
      blind.push({ what: 'silent peers that the application does not ping', why: 'WSGUARD_PING=off' });
    if (this.#instrumentation.hasFixedPrototype)
      blind.push({
        what: 'messages and pings of a WebSocket class',
        why: 'its `send` or `ping` cannot be replaced, for example because its prototype is frozen',
      });
    blind.push(...this.#discovery.blind());
    const { unreadable } = this.#tcpTable;
    if (unreadable !== null) blind.push({ what: 'TCP retransmits (/proc/net/tcp)', why: unreadable });
    blind.push(...unprobedPeers(this.connections.read(), this.#polling.active));
    return blind;
  }

  stop(): void {
    this.#stopTick();
    this.#deps.preloadHooks.emitters.onWebSocket = () => undefined;
    this.#slices.stop();
    this.#deps.preloadHooks.sockets.observe(null);
    this.#instrumentation.stop();
    this.connections.stop();
    this.#retained.stop();
    this.#polling.stop();
    this.collections.stop();
    this.#endObservation();
    this.#discovery.stop();
    this.listeners.stop();
  }

  #tick(): void {
    this.#noteStall();
    this.#tickedAtMs = this.#deps.clock.nowMs();
    void this.#slices.run('new sockets', () => this.connections.classifySlice());
  }

  /**
   * Many connections are swept in the turns after the sample, which then has the results of the previous sweep: the sweep
   * would not be complete in this turn either.
   */
  #startSweeps({ isMarking }: { readonly isMarking: boolean }): void {
    const { clock, preloadHooks } = this.#deps;
    const start = (): void => {
      void this.#sweep();
      // A check while V8 marks would itself keep what it looks at until the next major GC but one.
      if (isMarking) return;
      void this.#slices.run('retained', () => this.#retained.checkSlice(clock.nowMs(), RETAINED_PER_SLICE));
    };
    if (preloadHooks.sockets.open.size <= MAX_SWEPT_WHILE_READING) start();
    else clock.after(0, start);
  }

  #sweep(): Promise<void> {
    return this.#slices.run('sweep', () => this.connections.sweepSlice());
  }

  /** A reading can run before the late tick, so it checks too. */
  #noteStall(): void {
    const nowMs = this.#deps.clock.nowMs();
    if (nowMs - this.#tickedAtMs > TICK_MS + MIN_STALL_MS) this.connections.noteStall(nowMs);
  }

  #servers(): TrackedServer[] {
    return this.#deps.preloadHooks.sockets.servers();
  }

  #libraryServers(): LibraryServers {
    const { guard, preloadHooks } = this.#deps;
    return guard.run(
      'library servers',
      () => readLibraryServers(preloadHooks.emitters.servers(), this.#names, this.#roomCounter),
      noLibraryServers(),
    );
  }

  /** Emitters that are shown with any number of listeners: Node's warnings do not cover them. */
  #serverEmitters(library: LibraryServers): NamedEmitter[] {
    const httpServers = this.#servers().filter(({ kind }) => kind !== 'tcp');
    return [
      { name: 'process', emitter: process as EventEmitter },
      ...httpServers.map(({ server, kind }) => ({
        name: this.#names.nameOf(server, `${kind} server`),
        emitter: server,
      })),
      ...library.emitters,
    ];
  }

  #readConnections(): ConnectionsReading {
    const sums = this.connections.read();
    const { active, opened, closed, unresponsive, asleep, unknown, slow } = sums;
    const suspicionProbes = suspicionProbesOf(sums);
    const polling = this.#polling;
    const ids = this.connections.readIds();
    const durations = this.connections.durations.read();
    return {
      active: { ...active, polling: polling.active },
      openedTotal: { ...opened, polling: polling.opened },
      closedTotal: { ...closed, polling: polling.closed },
      unanswering: unresponsive,
      asleep,
      awokenTotal: sums.awoken,
      lost: sums.lost,
      lostEndedTotal: sums.lostEnded,
      unaskable: unknown + polling.active,
      ...this.#retained.read(),
      // Packets wait in engine.io too, until its WebSockets and requests take them.
      sendBufferBytes: sums.sendBufferBytes + polling.waitingBytes,
      slow,
      closeCodes: { ...this.connections.closeCodes },
      ...(durations.length === 0 ? {} : { durations }),
      receivedBytesTotal: sums.receivedBytes,
      messagesSentTotal: this.#instrumentation.messagesSent,
      messagesFailedTotal: this.#instrumentation.messagesFailed,
      rtt: this.#instrumentation.roundTrips.read(),
      maxConnections: this.#deps.config.maxConnections ?? this.#maxConnectionsOfServers(),
      ...(suspicionProbes === null ? {} : { suspicionProbes }),
      ...(ids === null ? {} : { ids }),
    };
  }

  /** Null when no server has a limit. */
  #maxConnectionsOfServers(): number | null {
    const limits = this.#deps.guard
      .run(
        'server',
        () => this.#servers().map(({ server }) => Number(readField(server, 'maxConnections'))),
        [],
      )
      .filter((limit) => Number.isFinite(limit) && limit > 0);
    return limits.length === 0 ? null : limits.reduce((sum, limit) => sum + limit, 0);
  }

  #readDiscovery({ namespaces }: LibraryServers): DiscoveryReading {
    return this.#discovery.read((thing) => this.collections.has(thing), connectedIds(namespaces));
  }

  #takeObserved({ namespaces }: LibraryServers): void {
    const observer = this.#observer;
    const { guard, preloadHooks } = this.#deps;
    if (observer === null) return;
    guard.run('discovery', () => this.#discovery.addObserved(observer.take()), undefined);
    for (const connection of exampleConnections(preloadHooks.sockets.open, namespaces))
      guard.run('observed handlers', () => observer.observe(connection, 'connection'), undefined);
    if (observer.isDone) this.#endObservation();
  }

  /** A connection has room for one `emit` of the agent, and a ping whose pong is hidden needs it. */
  #endObservation(): void {
    this.#observer?.stop();
    this.#observer = null;
  }

  /** The search runs in a later turn of the event loop than the reading. */
  #searchCollections(library: LibraryServers, { openedTotal }: ConnectionsReading): void {
    const { clock, preloadHooks } = this.#deps;
    const opened = Object.values(openedTotal).reduce((sum, count) => sum + count, 0);
    if (!this.#discovery.isDue(opened)) return;
    const { emitters, namespaces } = library;
    const start: SearchStart = {
      servers: [
        ...emitters.map(({ emitter }) => ({ emitter, events: ['connection', 'request'] })),
        ...namespaces.map((namespace) => ({ emitter: namespace, events: ['connection'] })),
        // The `connection` handler of an http server is Node's own.
        ...this.#servers().map(({ server }) => ({ emitter: server, events: ['request', 'upgrade'] })),
        { emitter: process, events: SHUTDOWN_EVENTS },
      ],
      connections: exampleConnections(preloadHooks.sockets.open, namespaces),
      emitters: preloadHooks.emitters.buses().slice(0, MAX_EMITTERS_SEARCHED),
      libraries: [...preloadHooks.emitters.servers(), preloadHooks, preloadHooks.sockets, this],
      modules: require.cache,
    };
    const searchSlice = (): boolean => {
      const isDone = this.#discovery.searchSlice(opened, start);
      if (isDone && this.#discovery.hasCapturedThis) this.#observeAdditions(start);
      return isDone;
    };
    clock.after(0, () => void this.#slices.run('discovery', searchSlice));
  }

  #observeAdditions({ servers }: SearchStart): void {
    const { guard } = this.#deps;
    this.#endObservation();
    if (this.#hasSuspicion) return;
    const { AdditionObserver } = additionModule();
    const observer = new AdditionObserver(guard);
    this.#observer = observer;
    for (const { emitter } of servers)
      if (emitter !== process)
        guard.run('observed handlers', () => observer.observe(emitter, 'server'), undefined);
  }
}

function createListenerChanges({ clock, guard, config, preloadHooks }: ServerProbesDeps): ListenerChanges {
  // Tests of the application can replace the global later.
  const { setImmediate } = globalThis;
  return new ListenerChanges({
    nowMs: () => clock.nowMs(),
    later: (task) => void setImmediate(guard.wrap('listener changes', task)),
    openConnections: () => preloadHooks.sockets.open.size,
    maxPerSecond: LISTENER_READINGS_PER_SECOND * config.timeScale,
  });
}

/** Most applications have no arrow functions in classes as handlers. */
const additionModule = lazy(() => require('./discovery/addition-observer.ts') as typeof AdditionModule);

/** Loads the module with the first alert: most processes never have one. */
const locateModule = lazy(() => require('./inspector/locate-listeners.ts') as typeof LocateModule);

const locateListeners: typeof LocateModule.locateListeners = (...request) =>
  locateModule().locateListeners(...request);

const locateTargetListeners = (functions: readonly object[], event: string): Culprit | null =>
  locateModule().locateFunctions(functions, { name: event, text: `listener of '${event}'` });
