/**
 * Tracks emitters from their construction on, by weak references. It wraps `EventEmitter.init`, which the constructor of
 * every emitter calls in any packaging: one lookup by prototype, and a WeakRef for the few that are kept (docs/adr/0004).
 */
import EventEmitter from 'node:events';
import type { Guard } from '../../core/guard.ts';
import { apply } from '../../core/primordials.ts';
import { processEvents } from '../../core/process-events.ts';
import type { Blind } from '../../types/index.ts';
import { findProperty, hasMethod } from '../find-property.ts';
import { WeakList } from '../weak-list.ts';

export interface FlaggedEmitter {
  readonly target: object;
  /** The event of Node's warning; null for a raised limit. */
  readonly event: string | symbol | null;
}

type ClassRole = 'server' | 'bus' | 'ignored';
interface TrackedClass {
  readonly role: ClassRole;
  readonly isWebSocket: boolean;
  /** Live emitters of this class, as far as it is known. */
  keptCount: number;
}
type Init = (this: object, options?: unknown) => void;
type SetMaxListeners = (this: EventEmitter, limit: number) => EventEmitter;

/**
 * A class with more than 50 instances is one object per connection or request. Objects that live as long as the process
 * are among the first of their class.
 */
const LIMITS = { bus: { perClass: 50, total: 1_000 }, server: { perClass: 100, total: 200 } } as const;
const MAX_FLAGGED = 300;
const NODE_DEFAULT_LIMIT = 10;

export class EmitterTracker {
  /** Called for each new WebSocket of ws, also one of a client, before the application knows it. */
  onWebSocket = (_ws: object): void => {};
  readonly #guard: Guard;
  readonly #classes = new WeakMap<object, TrackedClass>();
  readonly #servers = new WeakList<object, TrackedClass>(LIMITS.server.total, countDown);
  readonly #buses = new WeakList<object, TrackedClass>(LIMITS.bus.total, countDown);
  readonly #flagged = new WeakList<object, FlaggedEmitter['event']>(MAX_FLAGGED);
  readonly #undo: (() => void)[] = [];
  #isActive = true;

  constructor(guard: Guard) {
    this.#guard = guard;
    guard.run('emitter tracker', () => this.#wrapInit(), undefined);
    guard.run('emitter tracker', () => this.#wrapSetMaxListeners(), undefined);
    const onWarning = guard.wrap('emitter tracker', (warning: unknown) => this.#noteWarning(warning));
    this.#undo.push(processEvents.observe('warning', onWarning));
  }

  /** Servers of ws, engine.io and the package `websocket`, and adapters of Socket.IO. */
  servers(): object[] {
    return this.#servers.read().map(({ target }) => target);
  }

  /** The first emitters of each class. */
  buses(): EventEmitter[] {
    return this.#buses.read().map(({ target }) => target as EventEmitter);
  }

  /** Emitters and EventTargets that Node warned about, and emitters whose limit was raised or removed. */
  flagged(): FlaggedEmitter[] {
    return this.#flagged.read().map(({ target, data }) => ({ target, event: data }));
  }

  blind(): Blind[] {
    const refused = [
      [this.#servers, 'WebSocket servers and adapters', LIMITS.server.total],
      [this.#buses, 'emitters', LIMITS.bus.total],
      [this.#flagged, 'emitters with a raised listener limit or a warning', MAX_FLAGGED],
    ] as const;
    return refused
      .filter(([list]) => list.refusedTotal > 0)
      .map(([list, what, limit]) => ({
        what: `${list.refusedTotal} ${what}`,
        why: `the agent tracks ${limit} at a time`,
      }));
  }

  stop(): void {
    // Somebody's later wrapper still calls this one, which then only calls the original.
    this.#isActive = false;
    for (const undo of this.#undo) undo();
    for (const list of [this.#servers, this.#buses, this.#flagged]) list.clear();
  }

  #wrapInit(): void {
    const emitter = EventEmitter as unknown as { init: Init };
    const original = emitter.init;
    if (typeof original !== 'function') return;
    const noteEmitter = (created: object): void => this.#noteEmitter(created);
    const init: Init = function init(this, options) {
      apply(original, this, [options]);
      noteEmitter(this);
    };
    emitter.init = init;
    this.#undo.push(() => {
      if (emitter.init === init) emitter.init = original;
    });
  }

  #wrapSetMaxListeners(): void {
    const proto = EventEmitter.prototype as { setMaxListeners: SetMaxListeners };
    const original = proto.setMaxListeners;
    const noteLimit = (emitter: object, limit: number): void => this.#noteLimit(emitter, limit);
    const setMaxListeners: SetMaxListeners = function setMaxListeners(this, limit) {
      const result = apply(original, this, [limit]) as EventEmitter;
      noteLimit(this, limit);
      return result;
    };
    proto.setMaxListeners = setMaxListeners;
    this.#undo.push(() => {
      if (proto.setMaxListeners === setMaxListeners) proto.setMaxListeners = original;
    });
  }

  #noteEmitter(emitter: object): void {
    if (!this.#isActive) return;
    try {
      const proto = Object.getPrototypeOf(emitter) as object;
      const tracked = this.#classes.get(proto) ?? this.#addClass(proto);
      const { role } = tracked;
      if (tracked.isWebSocket) this.onWebSocket(emitter);
      if (role === 'ignored') return;
      const list = role === 'bus' ? this.#buses : this.#servers;
      // The first emitters of a class can be gone.
      if (tracked.keptCount >= LIMITS[role].perClass) list.sweep();
      if (tracked.keptCount >= LIMITS[role].perClass) return;
      if (list.add(emitter, tracked)) tracked.keptCount += 1;
    } catch {
      // A Proxy can throw when its prototype is read. The application's constructor must not fail because of the agent.
    }
  }

  #addClass(proto: object): TrackedClass {
    const role = this.#guard.run('emitter tracker', () => roleOf(proto), 'ignored');
    const isWebSocket = hasMethod(proto, 'terminate') && hasMethod(proto, 'ping');
    const tracked: TrackedClass = { role, isWebSocket, keptCount: 0 };
    this.#classes.set(proto, tracked);
    return tracked;
  }

  #noteLimit(emitter: object, limit: number): void {
    if (!this.#isActive || (limit !== 0 && !(limit > NODE_DEFAULT_LIMIT))) return;
    // Some frameworks raise the limit of a stream for each connection; those streams are not buses.
    this.#guard.run(
      'emitter tracker',
      () => hasMethod(emitter, 'pipe') || this.#flag(emitter, null),
      undefined,
    );
  }

  #noteWarning(warning: unknown): void {
    if (typeof warning !== 'object' || warning === null) return;
    if (findProperty(warning, 'name') !== 'MaxListenersExceededWarning') return;
    const [emitter, target, type] = ['emitter', 'target', 'type'].map((name) => findProperty(warning, name));
    const subject = emitter ?? target;
    if (typeof subject === 'object' && subject !== null) this.#flag(subject, type as string | symbol);
  }

  #flag(target: object, event: string | symbol | null): void {
    if (this.#flagged.some((entry) => entry.data === event && entry.target === target)) return;
    this.#flagged.add(target, event);
  }
}

function roleOf(proto: object): ClassRole {
  const isServer = hasMethod(proto, 'handleUpgrade');
  const isSocketIoAdapter = hasMethod(proto, 'addAll') && hasMethod(proto, 'delAll');
  if (isServer || isSocketIoAdapter) return 'server';
  // Streams, sockets and servers of Node are too many, and other hooks find them.
  return hasMethod(proto, 'pipe') || hasMethod(proto, 'listen') ? 'ignored' : 'bus';
}

function countDown(tracked: TrackedClass): void {
  tracked.keptCount -= 1;
}
