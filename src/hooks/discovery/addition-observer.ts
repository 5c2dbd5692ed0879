/**
 * Shows the collections to which handlers add entries. An arrow function in a class reaches `this.clients`, and V8 shows the
 * captured `this` to nobody. But the call `this.clients.set(...)` has the collection as its receiver. For a few events,
 * and only while their handlers run, `Map.set`, `Set.add` and `Array.push` note their receivers.
 */
import { basename, join, resolve } from 'node:path';
import { isProxy } from 'node:util/types';
import { callSites } from '../../core/call-sites.ts';
import type { Guard } from '../../core/guard.ts';
import { arrayPush, mapSet, methodOf, setAdd, type Method } from '../../core/primordials.ts';
import { isConnection } from './collection-role.ts';
import { isCollection } from './collection.ts';
import { hasProperty } from '../find-property.ts';

/** A collection to which the handlers of two connections added entries. */
export interface ObservedAddition {
  readonly collection: object;
  /** `hub.js:27`: the line that adds. */
  readonly place: string;
  readonly value: unknown;
}

type ObservedRole = 'server' | 'connection';

/** The handlers of so many events are observed. */
const MAX_EVENTS = { server: 30, connection: 60 } as const;
/** Servers and connections whose events are observed. */
const MAX_EMITTERS = 20;
/** An event with more additions is a bulk load. */
const MAX_ADDITIONS_PER_EVENT = 200;
const MAX_OBSERVED = 50;
const STACK_FRAMES = 12;
const { apply, defineProperty, getOwnPropertyDescriptor, getPrototypeOf } = Reflect;

interface Addition {
  readonly value: unknown;
  readonly place: string | null;
}

interface Patch {
  readonly owner: object;
  readonly name: string;
  readonly original: Method;
  readonly replacement: Method;
}

export class AdditionObserver {
  readonly #guard: Guard;
  readonly #emitters: WeakRef<object>[] = [];
  readonly #emit: Method;
  readonly #patches: readonly Patch[];
  /** The source of the first addition to a collection: only one that two connections share is of interest. */
  readonly #firstSource = new WeakMap<object, number>();
  readonly #connectionNumbers = new WeakMap<object, number>();
  /** The number of the connection; for an event of a server, which is about another connection each time, a negative one. */
  #source = 0;
  readonly #observed: ObservedAddition[] = [];
  #additions = new Map<object, Addition>();
  readonly #eventsLeft: Record<ObservedRole, number> = { ...MAX_EVENTS };
  #isObserving = false;
  #isNoting = false;

  constructor(guard: Guard) {
    this.#guard = guard;
    const note = (collection: unknown, value: unknown): void => this.#note(collection, value);
    const runEvent = (emitter: object, subject: unknown, emit: () => unknown): unknown =>
      this.#runEvent(emitter, subject, emit);
    this.#patches = patchesOf(note);
    // Methods, because they are no constructors, like the built-in ones.
    const owner = {
      emit(this: object, ...args: never[]): unknown {
        const emit = methodOf(getPrototypeOf(this) as object, 'emit');
        return runEvent(this, args[1], () => apply(emit, this, args));
      },
    };
    this.#emit = methodOf(owner, 'emit');
  }

  get isDone(): boolean {
    return this.#eventsLeft.server === 0 && this.#eventsLeft.connection === 0;
  }

  /** Observes the events of a server or a connection, unless somebody has wrapped its `emit` already. */
  observe(emitter: object, role: ObservedRole): void {
    if (
      this.#emitters.length >= MAX_EMITTERS ||
      isProxy(emitter) ||
      Object.hasOwn(emitter, 'emit') ||
      !hasProperty(emitter, 'emit')
    )
      return;
    if (role === 'connection') this.#connectionNumbers.set(emitter, this.#emitters.length + 1);
    const descriptor = { value: this.#emit, writable: true, configurable: true, enumerable: false };
    if (defineProperty(emitter, 'emit', descriptor)) this.#emitters.push(new WeakRef(emitter));
  }

  /** The additions since the last call. */
  take(): ObservedAddition[] {
    return this.#observed.splice(0);
  }

  stop(): void {
    this.#eventsLeft.server = 0;
    this.#eventsLeft.connection = 0;
    for (const ref of this.#emitters.splice(0)) {
      const emitter = ref.deref();
      if (emitter !== undefined && getOwnPropertyDescriptor(emitter, 'emit')?.value === this.#emit)
        Reflect.deleteProperty(emitter, 'emit');
    }
  }

  /** `subject`: the first argument of the event. */
  #runEvent(emitter: object, subject: unknown, emit: () => unknown): unknown {
    const role = this.#connectionNumbers.has(emitter) ? 'connection' : 'server';
    // The `connection` event of a WebSocket server comes within the `upgrade` event of its http server.
    if (this.#isObserving || this.#eventsLeft[role] === 0 || isSocket(subject)) return emit();
    this.#guard.run('observed handlers', () => this.#beginEvent(emitter, role), undefined);
    try {
      return emit();
    } finally {
      this.#guard.run('observed handlers', () => this.#endEvent(), undefined);
    }
  }

  #beginEvent(emitter: object, role: ObservedRole): void {
    this.#eventsLeft[role] -= 1;
    this.#source = this.#connectionNumbers.get(emitter) ?? -this.#eventsLeft.server;
    this.#isObserving = true;
    for (const patch of this.#patches) replace(patch, patch.original, patch.replacement);
  }

  #note(collection: unknown, value: unknown): void {
    // The agent's own calls come back here.
    if (!this.#isObserving || this.#isNoting) return;
    this.#isNoting = true;
    this.#guard.run('observed handlers', () => this.#addAddition(collection, value), undefined);
    this.#isNoting = false;
  }

  #addAddition(collection: unknown, value: unknown): void {
    const additions = this.#additions;
    if (additions.size >= MAX_ADDITIONS_PER_EVENT || !isCollection(collection) || additions.has(collection))
      return;
    const first = this.#firstSource.get(collection);
    const isShared = first !== undefined && first !== this.#source;
    const place = isShared ? placeOfCaller() : null;
    additions.set(collection, { value, place });
  }

  #endEvent(): void {
    for (const patch of this.#patches) replace(patch, patch.replacement, patch.original);
    this.#isObserving = false;
    for (const [collection, { value, place }] of this.#additions) {
      if (!this.#firstSource.has(collection)) this.#firstSource.set(collection, this.#source);
      if (place !== null && this.#observed.length < MAX_OBSERVED)
        this.#observed.push({ collection, place, value });
      // Servers add a new connection to a collection of their own. Its messages can show more.
      if (isWebSocket(value)) this.observe(value, 'connection');
    }
    this.#additions = new Map();
  }
}

const isWebSocket = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !isProxy(value) && isConnection(value) && !isSocket(value);

/** The `connection` event of an http server has a socket, and no handler of the application. */
const isSocket = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && !isProxy(value) && hasProperty(value, 'remoteAddress');

function patchesOf(note: (collection: unknown, value: unknown) => void): Patch[] {
  const methods = {
    set(this: unknown, ...args: unknown[]): unknown {
      note(this, args[1]);
      return apply(mapSet, this, args);
    },
    add(this: unknown, ...args: unknown[]): unknown {
      note(this, args[0]);
      return apply(setAdd, this, args);
    },
    push(this: unknown, ...args: unknown[]): unknown {
      note(this, args[0]);
      return apply(arrayPush, this, args);
    },
  };
  const patch = (owner: object, name: keyof typeof methods, original: Method): Patch => ({
    owner,
    name,
    original,
    replacement: methodOf(methods, name),
  });
  return [
    patch(Map.prototype, 'set', mapSet),
    patch(Set.prototype, 'add', setAdd),
    patch(Array.prototype, 'push', arrayPush),
  ];
}

/** A method that somebody else has replaced stays theirs. */
function replace({ owner, name }: Patch, from: Method, to: Method): void {
  const descriptor = getOwnPropertyDescriptor(owner, name);
  if (descriptor?.value === from && descriptor.configurable === true)
    defineProperty(owner, name, { ...descriptor, value: to });
}

/** File and line of the call; null when a library or the agent made it. */
function placeOfCaller(): string | null {
  const caller = callSites(STACK_FRAMES).find((frame) => !OWN_FILES.has(frame.getFileName() ?? ''));
  const file = caller?.getFileName();
  return isApplication(file) ? `${basename(file)}:${caller?.getLineNumber() ?? 0}` : null;
}

const AGENT_FOLDER = resolve(__dirname, '..', '..');
const coreFile = (name: string): string =>
  join(AGENT_FOLDER, 'core', basename(__filename).replace('addition-observer', name));
/** They are on the stack between the call and this file. */
const OWN_FILES = new Set([__filename, coreFile('guard'), coreFile('call-sites')]);

const isApplication = (file: string | null | undefined): file is string =>
  typeof file === 'string' &&
  !file.startsWith('node:') &&
  !file.includes('node_modules') &&
  !file.startsWith(AGENT_FOLDER);
