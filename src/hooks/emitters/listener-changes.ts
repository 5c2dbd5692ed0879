/**
 * Follows how listener counts change around the opens and closes of WebSockets. Samples alone cannot separate the two where each
 * closed connection is replaced at once: a row then has as many opens as closes.
 *
 * A reading begins right before an open or a close is handled, and ends after it. Whatever else changes a count, at another
 * time, is summed too, so that the detector knows how much of a rise the opens and closes explain (docs/adr/0017).
 */
import type { EventEmitter } from 'node:events';
import type { ListenerChangesReading } from '../../types/index.ts';
import { findProperty } from '../find-property.ts';
import { countListenersOf } from './listener-counts.ts';

export interface Candidate {
  readonly emitter: EventEmitter;
  readonly event: string;
  readonly listeners: number;
}
interface Followed {
  readonly emitter: WeakRef<EventEmitter>;
  readonly event: string;
  readonly unseen: number;
  readonly before: number;
  count: number;
  opened: number;
  added: number;
  other: number;
}

interface Deps {
  readonly nowMs: () => number;
  /** Runs a task in the next iteration of the event loop. */
  readonly later: (task: () => void) => void;
  readonly openConnections: () => number;
  /** Readings in one second, so that a storm of connections costs little. */
  readonly maxPerSecond: number;
}

/** The events with most listeners: a count that leaks joins them. */
const MAX_FOLLOWED = 16;
/** Node emits `close` of a socket one iteration after `destroy`, and ws its own at most one later. */
const ITERATIONS = 3;
/** The clock has a resolution of some microseconds. */
const MIN_GAP_MS = 0.05;
const SECOND_MS = 1_000;

export class ListenerChanges {
  readonly #deps: Deps;
  #followed: Followed[] = [];
  #isReading = false;
  #iterationsLeft = 0;
  #startedMs = 0;
  #endedMs = 0;
  #opened: object[] = [];
  #closed = 0;
  #secondMs = 0;
  #readings = 0;

  constructor(deps: Deps) {
    this.#deps = deps;
  }

  /** Right before the application handles an opened connection. */
  noteOpened(ws: object): void {
    if (this.#begin()) this.#opened.push(ws);
  }

  /** Right before the application handles a closed connection. */
  noteClosed(): void {
    if (this.#begin()) this.#closed += 1;
  }

  /** Follows the largest of the candidates. One that leaves them starts again later. */
  follow(candidates: Candidate[]): void {
    const largest = candidates.sort((a, b) => b.listeners - a.listeners).slice(0, MAX_FOLLOWED);
    const unseen = this.#deps.openConnections();
    this.#followed = largest.map(({ emitter, event }) => {
      const followed = this.#find(emitter, event);
      if (followed !== undefined) return followed;
      const count = countListenersOf(emitter, event);
      const ref = new WeakRef(emitter);
      return { emitter: ref, event, unseen, before: count, count, opened: 0, added: 0, other: 0 };
    });
  }

  /** Null for a count that is not followed. */
  readingOf(emitter: EventEmitter, event: string): ListenerChangesReading | null {
    const followed = this.#find(emitter, event);
    if (followed === undefined) return null;
    const { opened, added, other, unseen, before } = followed;
    return { opened, added, other, unseen, before };
  }

  #find(emitter: EventEmitter, event: string): Followed | undefined {
    return this.#followed.find((each) => each.event === event && each.emitter.deref() === emitter);
  }

  /** False beyond the limit: the change is then among the others. */
  #begin(): boolean {
    if (this.#followed.length === 0) return false;
    this.#iterationsLeft = ITERATIONS;
    if (this.#isReading) return true;
    const { nowMs, later, maxPerSecond } = this.#deps;
    const startedMs = nowMs();
    if (startedMs - this.#secondMs >= SECOND_MS) [this.#secondMs, this.#readings] = [startedMs, 0];
    if (this.#readings >= maxPerSecond) return false;
    this.#readings += 1;
    // Changes at other times also fall into readings, where they are not seen: those of the gap stand for both.
    const gapMs = Math.max(MIN_GAP_MS, startedMs - this.#endedMs);
    const weight = 1 + (this.#endedMs - this.#startedMs) / gapMs;
    this.#isReading = true;
    this.#startedMs = startedMs;
    this.#closed = 0;
    for (const followed of this.#followed) followed.other += weight * Math.abs(changeOf(followed));
    later(this.#next);
    return true;
  }

  /** An open or close during the reading makes it longer. */
  readonly #next = (): void => {
    this.#iterationsLeft -= 1;
    if (this.#iterationsLeft <= 0) this.#end();
    else this.#deps.later(this.#next);
  };

  #end(): void {
    this.#isReading = false;
    this.#endedMs = this.#deps.nowMs();
    const opened = this.#opened;
    this.#opened = [];
    const hasOpensOnly = this.#closed === 0 && opened.every(isOfServer);
    for (const followed of this.#followed) {
      const change = changeOf(followed);
      if (!hasOpensOnly) continue;
      followed.opened += opened.length;
      followed.added += change;
    }
  }
}

/** A gateway opens a client for each of its connections. */
const isOfServer = (ws: object): boolean => findProperty(ws, '_isServer') === true;

function changeOf(followed: Followed): number {
  const emitter = followed.emitter.deref();
  if (emitter === undefined) return 0;
  const before = followed.count;
  followed.count = countListenersOf(emitter, followed.event);
  return followed.count - before;
}
