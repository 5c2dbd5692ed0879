import EventEmitter from 'node:events';
import type { Guard } from '../../core/guard.ts';

export interface Flagged {
  readonly target: object;
  readonly type: string | symbol | null;
}

type Role = 'server' | 'bus' | 'ignored';
interface Kin {
  readonly role: Role;
  kept: number;
}
type Init = (this: object, options?: unknown) => void;
type SetMaxListeners = (this: EventEmitter, limit: number) => EventEmitter;

/** A class that has more than 50 is one object per connection or request, and its singletons were born first. */
const KEPT = { bus: { perClass: 50, inAll: 1_000 }, server: { perClass: 100, inAll: 200 } } as const;
const MAX_FLAGGED = 300;
const NODE_DEFAULT_LIMIT = 10;

const has = (proto: object, name: string): boolean =>
  typeof (proto as Record<string, unknown>)[name] === 'function';

function roleOf(proto: object): Role {
  if (has(proto, 'handleUpgrade') || (has(proto, 'addAll') && has(proto, 'delAll'))) return 'server';
  // Streams, sockets and core servers: far too many, and reached in other ways.
  if (has(proto, 'pipe') || has(proto, 'listen')) return 'ignored';
  return 'bus';
}

/**
 * Emitters seen from their birth on, all held weakly. Wraps `EventEmitter.init`, which the constructor of every emitter
 * runs whatever the packaging: one look-up by prototype, and a WeakRef for the few that are kept (docs/adr/0004).
 */
export class EmitterTracker {
  readonly #guard: Guard;
  readonly #kin = new WeakMap<object, Kin>();
  readonly #servers: WeakRef<object>[] = [];
  readonly #buses: WeakRef<object>[] = [];
  readonly #flagged: { readonly ref: WeakRef<object>; readonly type: string | symbol | null }[] = [];
  readonly #undo: (() => void)[] = [];
  #active = true;

  constructor(guard: Guard) {
    this.#guard = guard;
    guard.run('emitter tracker', () => this.#wrapInit(), undefined);
    guard.run('emitter tracker', () => this.#wrapSetMaxListeners(), undefined);
    const onWarning = guard.wrap('emitter tracker', (warning: Error) => this.#warned(warning));
    process.on('warning', onWarning);
    this.#undo.push(() => process.removeListener('warning', onWarning));
  }

  /** Servers of ws, engine.io and `websocket`, and adapters of Socket.IO. */
  servers(): object[] {
    return alive(this.#servers);
  }

  /** The first of each class: a bus or a client that lives as long as the process is among them. */
  buses(): EventEmitter[] {
    return alive(this.#buses) as EventEmitter[];
  }

  /** Emitters that Node warned of (`type` is the event), or whose limit was raised or taken away. */
  flagged(): Flagged[] {
    return this.#flagged.flatMap(({ ref, type }) => {
      const target = ref.deref();
      return target === undefined ? [] : [{ target, type }];
    });
  }

  stop(): void {
    // Whoever wrapped after us keeps a working chain: ours then only passes on.
    this.#active = false;
    for (const undo of this.#undo) undo();
    for (const list of [this.#servers, this.#buses, this.#flagged]) list.length = 0;
  }

  #wrapInit(): void {
    const emitter = EventEmitter as unknown as { init: Init };
    const original = emitter.init;
    if (typeof original !== 'function') return;
    const note = (born: object): void => this.#note(born);
    const init: Init = function init(this, options) {
      original.call(this, options);
      note(this);
    };
    emitter.init = init;
    this.#undo.push(() => {
      if (emitter.init === init) emitter.init = original;
    });
  }

  #wrapSetMaxListeners(): void {
    const proto = EventEmitter.prototype as { setMaxListeners: SetMaxListeners };
    const original = proto.setMaxListeners;
    const note = (emitter: object, limit: number): void => this.#limited(emitter, limit);
    const setMaxListeners: SetMaxListeners = function setMaxListeners(this, limit) {
      const result = original.call(this, limit);
      note(this, limit);
      return result;
    };
    proto.setMaxListeners = setMaxListeners;
    this.#undo.push(() => {
      if (proto.setMaxListeners === setMaxListeners) proto.setMaxListeners = original;
    });
  }

  #note(emitter: object): void {
    if (!this.#active) return;
    try {
      const proto = Object.getPrototypeOf(emitter) as object;
      const its = this.#kin.get(proto) ?? this.#meet(proto);
      if (its.role === 'ignored' || its.kept >= KEPT[its.role].perClass) return;
      const list = its.role === 'bus' ? this.#buses : this.#servers;
      if (list.length >= KEPT[its.role].inAll) return;
      its.kept += 1;
      list.push(new WeakRef(emitter));
    } catch {
      // An object so strange that it has no readable prototype; its constructor must not fail for our sake.
    }
  }

  #meet(proto: object): Kin {
    const met: Kin = { role: this.#guard.run('emitter tracker', () => roleOf(proto), 'ignored'), kept: 0 };
    this.#kin.set(proto, met);
    return met;
  }

  #limited(emitter: object, limit: number): void {
    // A stream has its limit raised per connection by some frameworks; that is not a bus.
    if (!this.#active || (limit !== 0 && !(limit > NODE_DEFAULT_LIMIT))) return;
    this.#guard.run('emitter tracker', () => has(emitter, 'pipe') || this.#flag(emitter, null), undefined);
  }

  #warned(warning: Error): void {
    if (warning.name !== 'MaxListenersExceededWarning') return;
    const { emitter, target, type } = warning as unknown as Record<string, unknown>;
    const subject = emitter ?? target;
    if (typeof subject === 'object' && subject !== null) this.#flag(subject, type as string | symbol);
  }

  #flag(target: object, type: string | symbol | null): void {
    if (this.#flagged.length >= MAX_FLAGGED) return;
    if (this.#flagged.some((entry) => entry.type === type && entry.ref.deref() === target)) return;
    this.#flagged.push({ ref: new WeakRef(target), type });
  }
}

const alive = (refs: readonly WeakRef<object>[]): object[] =>
  refs.map((ref) => ref.deref()).filter((value) => value !== undefined);
