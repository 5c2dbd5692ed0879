/** Discovers the application's own registries, rooms and queues through the variables that its handlers close over. */
import { isMap, isProxy } from 'node:util/types';
import { isAllowed } from '../../core/process.ts';
import type { Blind, Clock } from '../../types/index.ts';
import { inspectorConnection } from '../../core/inspector-connection.ts';
import { withInspector } from '../inspector/inspector-session.ts';
import { MajorGcMarker } from '../major-gc-marker.ts';
import { RoomCounter } from '../registered-collections.ts';
import type { UniqueNames } from '../unique-names.ts';
import { Candidate, emptyReading, type DiscoveryReading } from './candidate.ts';
import { scopesOf, type NamedValue } from './closure-scopes.ts';
import { hasKey, isArray, isCollection } from './collection.ts';
import { collectionRole, isProvisionalRole, type ConnectedIds, type RoleContext } from './collection-role.ts';
import { prototypeChain } from '../find-property.ts';
import { classNameOf, FieldReader, readField } from './field-reader.ts';
import {
  emittersOfConnection,
  exportedValues,
  fieldsOfConnection,
  handlersOf,
  type HandlerEvents,
} from './handlers.ts';
import { PrivateFieldReader } from './private-fields.ts';
import { walkReferences, type ReachedCollection } from './reference-walk.ts';
import type { ObservedAddition } from './addition-observer.ts';
import { comparedNames, isWrittenInside, usesCapturedThis } from './source-text.ts';

/** A search begins at these objects. */
export interface SearchStart {
  readonly servers: readonly HandlerEvents[];
  /** Open connections, as examples. */
  readonly connections: readonly object[];
  /** Emitters of the application's classes. */
  readonly emitters: readonly object[];
  /** Objects of libraries, whose collections are read elsewhere, and of the agent. */
  readonly libraries: readonly object[];
  /** `require.cache`. */
  readonly modules: unknown;
}

/** A search runs when this many connections have opened, because applications add handlers and load modules late. */
const SEARCH_AT_OPENED = [2, 20, 200, 2_000];
const MAX_CANDIDATES = 400;
/** A class has a registry in each of its instances. A line that adds to more is about rooms: `rooms.get(room).add(id)`. */
const MAX_PER_PLACE = 3;
const MAX_COMPARED_NAMES = 1_000;
/** Rows of collections of unknown purpose in a sample. */
const MAX_PROVISIONAL_ROWS = 40;
/** Provisional roles that one reading looks at again. */
const ROLES_PER_READING = 10;
/** Names of plain objects that one reading lists, and that it reads to look at roles again: 0.3 to 1 us each. */
const MAX_NAMES_PER_READING = 10_000;
const MAX_NAMES_LOOKED_AT = 2_000;
/** Functions whose scopes are read from one emitter on: those that its handlers use, and those that these use. */
const MAX_FUNCTIONS = 30;

type OnReached = (reached: ReachedCollection) => void;

export class CollectionDiscovery {
  readonly #names: UniqueNames;
  readonly #clock: Pick<Clock, 'wallMs'>;
  #candidates: Candidate[] = [];
  /** Candidates, and the collections of library servers, which are read elsewhere. */
  readonly #seen = new WeakSet<object>();
  /** Library servers, which are not walked into. */
  readonly #libraries = new WeakSet<object>();
  readonly #fields = new FieldReader();
  readonly #readers = { fields: this.#fields, privateFields: new PrivateFieldReader() };
  /** Collections that calls have shown, by the line of the call. */
  readonly #observedAt = new Map<string, Candidate[]>();
  /** Collections to which one added value leads. */
  readonly #reachedOnce = new WeakSet<object>();
  /** Functions that the handlers of servers lead to: what their scopes have is a candidate already. */
  readonly #followedFromServers = new WeakSet<object>();
  readonly #addShared: OnReached = (reached) => void this.#addCandidate(reached);
  /** Functions and classes whose source text was read. */
  readonly #readCode = new WeakSet<object>();
  /** Names of collections whose size the application compares with a maximum. */
  readonly #comparedNames = new Set<string>();
  #unavailable: string | null = isAllowed('inspector') ? null : unavailableBecause('ERR_ACCESS_DENIED');
  #searches = 0;
  #search: Iterator<void, void> | null = null;
  readonly #roomCounter = new RoomCounter();
  #nextRole = 0;
  #isPrepared = false;
  #unfollowedFunctions = 0;
  readonly #majorGc = new MajorGcMarker();
  /** Collections that found no room. A later search takes them when others are gone. */
  readonly #refused = new WeakSet<object>();
  #refusedCandidates = 0;
  #hasCapturedThis = false;
  #isStopped = false;

  constructor(names: UniqueNames, clock: Pick<Clock, 'wallMs'>) {
    this.#names = names;
    this.#clock = clock;
  }

  /** Collections that the search cannot see in this process, and why. */
  blind(): Blind[] {
    const blind: Blind[] = [];
    const add = (what: string, why: string): void => void blind.push({ what, why });
    if (this.#unavailable !== null)
      add('collections that the application does not register', this.#unavailable);
    if (this.#candidates.some(({ isTooLarge }) => isTooLarge))
      add(
        'objects with more than 5,000 keys, or with more than 10,000 together',
        'counting them would stop the process for milliseconds',
      );
    if (this.#refusedCandidates > 0)
      add(
        `${this.#refusedCandidates} collections that the handlers reach`,
        `the agent counts ${MAX_CANDIDATES} collections at most`,
      );
    if (
      this.#hasCapturedThis &&
      this.#searches > 1 &&
      !this.#candidates.some(({ role }) => role === 'registry')
    )
      add(
        'objects in fields of `this` that arrow functions use',
        'V8 does not show a captured `this`; the agent sees the Maps, Sets and arrays to which handlers add; use watchRegistry',
      );
    const isSomethingFound = this.#candidates.some(({ role }) => role !== null);
    if (this.#searches > 1 && !isSomethingFound && this.#unfollowedFunctions > 0)
      add(
        'collections that only functions of other modules reach',
        'the search ends two functions away from a handler and found no collection of connections; use watchRegistry',
      );
    return blind;
  }

  /** Whether handlers reach objects that their scopes do not show. The additions of their calls can show them. */
  get hasCapturedThis(): boolean {
    return this.#hasCapturedThis;
  }

  /** Collections that the calls of handlers have shown, and those to which the added values lead. */
  addObserved(additions: readonly ObservedAddition[]): void {
    this.#fields.startPass();
    const shared = new Set(additions.map(({ collection }) => collection));
    for (const { value } of additions) {
      if (typeof value !== 'object' || value === null || isProxy(value)) continue;
      const name = classNameOf(value) ?? 'entry';
      // A wrapper of a connection leads to the server that it belongs to: `client.hub.clients`.
      this.#reach([[{ name, value }]], (reached) => {
        if (shared.has(reached.collection)) this.#addCandidate(reached);
        else this.#addIfShared(reached);
      });
    }
    for (const { collection, place } of additions) this.#addObservedAt(place, collection);
  }

  #addObservedAt(place: string, collection: object): void {
    if (this.#seen.has(collection)) return;
    const observed = this.#observedAt.get(place) ?? [];
    const [first] = observed;
    if (first !== undefined && isArray(collection)) {
      // An array that `filter` has made gets the next entries at the same line, and is the same registry.
      this.#seen.add(collection);
      first.follow(collection);
      return;
    }
    if (observed.length <= MAX_PER_PLACE) {
      const name = `${kindOf(collection)} at ${place}`;
      const added = this.#addCandidate({ name, collection, owner: null, field: '', limit: null });
      if (added !== null) this.#observedAt.set(place, [...observed, added]);
    }
    if (observed.length === MAX_PER_PLACE)
      this.#candidates = this.#candidates.filter(
        (candidate) => this.#observedAt.get(place)?.includes(candidate) !== true,
      );
  }

  isDue(openedTotal: number): boolean {
    return openedTotal >= (SEARCH_AT_OPENED[this.#searches] ?? Infinity);
  }

  /** One slice of a search; true when the search is complete. */
  searchSlice(openedTotal: number, start: SearchStart): boolean {
    // A slice that was scheduled before `stop` would connect to the inspector again.
    if (this.#isStopped) return true;
    while (this.isDue(openedTotal)) this.#searches += 1;
    const search = (this.#search ??= this.#searchSteps(start));
    let isDone = true;
    try {
      isDone = search.next().done === true;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === undefined) throw error;
      this.#unavailable = unavailableBecause(code);
    } finally {
      if (isDone) this.#search = null;
    }
    return isDone;
  }

  /**
   * A collection that the handlers of a server reach is shared. One that the handlers of a single connection reach can be
   * private to it; one that those of two connections reach is shared.
   */
  *#searchSteps(start: SearchStart): Generator<void, void> {
    // Connecting takes milliseconds, so one session serves the whole search.
    inspectorConnection.acquire();
    try {
      yield;
      yield* this.#searchStepsConnected(start);
    } finally {
      inspectorConnection.release();
    }
  }

  *#searchStepsConnected(start: SearchStart): Generator<void, void> {
    this.#fields.startPass();
    this.#unfollowedFunctions = 0;
    this.#candidates = this.#candidates.filter((candidate) => candidate.collection() !== undefined);
    for (const library of [...start.servers.map(({ emitter }) => emitter), ...start.libraries])
      this.#excludeFieldsOf(library);
    // The list of loaded modules is reached through `require`.
    if (typeof start.modules === 'object' && start.modules !== null) this.#libraries.add(start.modules);
    const add = this.#addShared;
    const upgradeMethods = start.servers.flatMap(({ emitter }) => methodsOf(emitter, 'completeUpgrade'));
    for (const server of start.servers) {
      const handlers = handlersOf(server);
      // The handlers of `upgrade` and `request` are mostly those of libraries.
      if (server.events?.includes('connection') === true) this.#noteCapturedThis(handlers, upgradeMethods);
      yield* this.#searchFrom(handlers, [], add);
    }
    const firstSeenBy = new Map<object, number>();
    for (const [index, connection] of start.connections.entries()) {
      const addIfShared: OnReached = (reached) => {
        const first = firstSeenBy.get(reached.collection);
        if (first === undefined) firstSeenBy.set(reached.collection, index);
        else if (first !== index) this.#addCandidate(reached);
      };
      const fields = fieldsOfConnection(connection, this.#fields);
      yield* this.#searchFrom([], fields, addIfShared);
      for (const handlers of emittersOfConnection(connection).map(handlersOf)) {
        this.#noteCapturedThis(handlers, upgradeMethods);
        yield* this.#searchFrom(handlers, [], addIfShared);
      }
    }
    for (const emitter of start.emitters) {
      this.#reach([[{ name: classNameOf(emitter) ?? 'emitter', value: emitter }]], add);
      yield;
    }
    this.#reach([exportedValues(start.modules, this.#fields)], add);
  }

  /** Reads the scopes of the functions, of those that they refer to, and of those that these refer to, some in a slice. */
  *#searchFrom(
    functions: readonly object[],
    variables: readonly NamedValue[],
    onReached: OnReached,
  ): Generator<void, void> {
    const followed = new Set<object>(functions);
    this.#noteComparedNames(functions);
    let level = functions;
    if (variables.length > 0) level = [...level, ...this.#reach([variables], onReached)];
    for (let depth = 0; depth < 3 && level.length > 0; depth += 1) {
      const next: object[] = [];
      for (const closure of level) {
        const scopes = withInspector((session) => scopesOf(session, closure));
        yield;
        for (const found of this.#reach(scopes, onReached)) {
          if (followed.has(found) || this.#followedFromServers.has(found)) continue;
          if (onReached === this.#addShared) this.#followedFromServers.add(found);
          this.#noteComparedNames([found]);
          if (depth === 2 || followed.size >= MAX_FUNCTIONS) this.#unfollowedFunctions += 1;
          else next.push(found);
          followed.add(found);
        }
        yield;
      }
      level = next;
    }
  }

  #noteCapturedThis(handlers: readonly object[], upgradeMethods: readonly object[]): void {
    this.#hasCapturedThis ||= handlers.some(
      (handler) =>
        usesCapturedThis(handler) && !upgradeMethods.some((method) => isWrittenInside(handler, method)),
    );
  }

  #noteComparedNames(code: readonly object[]): void {
    for (const functionOrClass of code) {
      if (this.#readCode.has(functionOrClass) || this.#comparedNames.size > MAX_COMPARED_NAMES) continue;
      this.#readCode.add(functionOrClass);
      for (const name of comparedNames(functionOrClass)) this.#comparedNames.add(name);
    }
  }

  /** Returns the functions that the variables lead to. */
  #reach(scopes: readonly (readonly NamedValue[])[], onReached: OnReached): object[] {
    const { collections, functions, classes } = walkReferences(scopes, this.#readers, this.#libraries);
    this.#noteComparedNames(classes);
    for (const reached of collections) onReached(reached);
    return functions;
  }

  /** Looks at provisional roles again. Optional: in a turn of the event loop of its own it makes the turn of `read` shorter. */
  prepare(connected: readonly ConnectedIds[]): void {
    this.#fields.startPass();
    this.#lookAgain(this.#roleContext(connected));
    this.#isPrepared = true;
  }

  /** `isRegistered`: the application registered the collection itself, so it is not reported twice. */
  read(isRegistered: (collection: object) => boolean, connected: readonly ConnectedIds[]): DiscoveryReading {
    const reading = emptyReading();
    if (this.#isPrepared) this.#fields.startPass();
    else this.prepare(connected);
    this.#isPrepared = false;
    const context = this.#roleContext(connected);
    const wallMs = this.#clock.wallMs();
    const rooms = this.#roomCounter;
    rooms.startReading();
    let provisionalRows = 0;
    let namesLeft = MAX_NAMES_PER_READING;
    for (const candidate of this.#candidates) {
      const collection = candidate.collection();
      if (collection === undefined || candidate.isTooLarge || isRegistered(collection)) continue;
      candidate.role ??= collectionRole(collection, context);
      if (
        candidate.role !== null &&
        isProvisionalRole(candidate.role) &&
        provisionalRows >= MAX_PROVISIONAL_ROWS
      )
        continue;
      if (candidate.addRow(reading, collection, { wallMs, rooms, comparedNames: this.#comparedNames }))
        provisionalRows += 1;
      if (candidate.listedNames > namesLeft) candidate.stopCounting();
      else namesLeft -= candidate.listedNames;
    }
    this.#candidates = this.#candidates.filter(({ isRecord }) => !isRecord);
    return reading;
  }

  stop(): void {
    this.#isStopped = true;
    this.#search?.return?.();
    this.#search = null;
    this.#candidates = [];
    this.#observedAt.clear();
  }

  #roleContext(connected: readonly ConnectedIds[]): RoleContext {
    return { fields: this.#fields, connected, isConnectionKey: this.#connectionKeys(connected) };
  }

  /** The first entries of a collection can be of another kind than the later ones. */
  #lookAgain(context: RoleContext): void {
    const provisional = this.#candidates.filter(({ role }) => role !== null && isProvisionalRole(role));
    let namesLeft = MAX_NAMES_LOOKED_AT;
    for (let count = Math.min(ROLES_PER_READING, provisional.length); count > 0; count -= 1) {
      if (namesLeft <= 0) return;
      this.#nextRole = (this.#nextRole + 1) % provisional.length;
      const candidate = provisional[this.#nextRole];
      const collection = candidate?.collection();
      if (candidate === undefined || candidate.isTooLarge || collection === undefined) continue;
      candidate.role = collectionRole(collection, context) ?? candidate.role;
      namesLeft -= candidate.listedNames;
    }
  }

  /** The keys under which a registry, of the application or of Socket.IO, has connections. Rooms can have them as members. */
  #connectionKeys(connected: readonly ConnectedIds[]): RoleContext['isConnectionKey'] {
    const registries = this.#candidates.flatMap((candidate) => {
      const collection = candidate.role === 'registry' ? candidate.collection() : undefined;
      return collection === undefined ? [] : [collection];
    });
    return (key) =>
      connected.some((ids) => ids.has(key)) || registries.some((registry) => hasKey(registry, key));
  }

  /** Values of one connection lead to what is private to it; those of two lead to what is shared. */
  #addIfShared(reached: ReachedCollection): void {
    if (this.#reachedOnce.has(reached.collection)) this.#addCandidate(reached);
    else this.#reachedOnce.add(reached.collection);
  }

  /** The collections of a server itself (its `clients`) are read by `library-servers.ts`. */
  #excludeFieldsOf(library: object): void {
    this.#libraries.add(library);
    for (const [, value] of this.#fields.fieldsOf(library)) if (isCollection(value)) this.#seen.add(value);
  }

  /** Null for a collection that is a candidate already, or one too many. */
  #addCandidate(reached: ReachedCollection): Candidate | null {
    const { collection, name } = reached;
    if (this.#seen.has(collection)) return null;
    if (!this.#hasRoom()) {
      if (!this.#refused.has(collection)) this.#refusedCandidates += 1;
      this.#refused.add(collection);
      return null;
    }
    this.#seen.add(collection);
    const candidate = new Candidate(this.#names.nameOf(collection, name), reached);
    this.#candidates.push(candidate);
    return candidate;
  }

  #hasRoom(): boolean {
    if (this.#candidates.length >= MAX_CANDIDATES && this.#majorGc.hasRun())
      this.#candidates = this.#candidates.filter((candidate) => candidate.collection() !== undefined);
    return this.#candidates.length < MAX_CANDIDATES;
  }
}

/** The method as each class in the chain of prototypes defines it. */
const methodsOf = (instance: object, name: string): object[] =>
  prototypeChain(instance)
    .slice(1)
    .flatMap((prototype) => {
      const method = readField(prototype, name);
      return typeof method === 'function' && !isProxy(method) ? [method] : [];
    });

const kindOf = (collection: object): string =>
  isArray(collection) ? 'array' : isMap(collection) ? 'Map' : 'Set';

const unavailableBecause = (code: string): string => `the inspector is not available (${code})`;
