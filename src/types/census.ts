/** `ContainerCensus`: the containers of one heap by their place in the source, small enough to be kept between audits. */

import type { SourceLocation, Suspect, SuspectType } from './analysis.ts';
import type { Failed, Refused } from './capture.ts';

/** All containers at one place: one variable, or one field of one class. */
export interface ContainerRow {
  /** The same in every census of the process. Ids of objects and keys of maps are not part of it. */
  readonly key: string;
  readonly type: CensusType;
  /** `node`: neither a variable nor a class of user code is on the retaining path. */
  readonly owner: 'application' | 'package' | 'node';
  /** Name for people: `hub.connections`, `listeners of 'line' on EventEmitter`. */
  readonly name: string;
  /** Retaining path in the syntax of code, from the variable on. */
  readonly path: readonly string[];
  readonly containers: number;
  readonly entries: number;
  /** Entries of the largest container. */
  readonly largest: number;
  /** Bytes of the containers' tables, and of the objects that are reached first through their entries. */
  readonly bytes: number;
  /** Sampled entries, and how many of them lead to a closed or to an open connection. */
  readonly sampled: number;
  readonly closed: number;
  readonly open: number;
  /** The line that adds the entries; null when no code of the application or of a package is found. */
  readonly location: SourceLocation | null;
  /** Why this growth is expected whatever its size; null for all other containers. */
  readonly expected: string | null;
  /** For timers that run once: their delay, after which each is removed. Null for all others. */
  readonly removedAfterMs: number | null;
  /**
   * Code in the file of the container that removes its entries: none, a function that a timer runs, or other code. Null
   * when there is no source to search.
   */
  readonly removal: 'none' | 'timer' | 'code' | null;
}

/** `Connections`: all closed connections that are still in the heap, whatever retains them. */
export type CensusType = SuspectType | 'Weak' | 'Connections';

export interface ContainerCensus {
  readonly schema: 'wsguard.census/1';
  readonly nodes: number;
  readonly bytes: number;
  /** Accepted sockets in the heap. */
  readonly connections: { readonly open: number; readonly closed: number };
  /** Places with at least this many entries are all listed; smaller ones are left out. */
  readonly minEntries: number;
  readonly rows: readonly ContainerRow[];
}

/** The outcome of one audit: a census of containers, compared with the earlier ones. */
export type Audit =
  | {
      readonly outcome: 'done';
      /** ISO 8601, UTC. */
      readonly at: string;
      /** How long the application thread was blocked. */
      readonly pauseMs: number;
      /** CPU time of the process that counted. */
      readonly cpuMs: number;
      /** Bytes of the snapshot that was counted. It is not kept. */
      readonly snapshotBytes: number;
      /** The most memory that the process that counted had at one time. */
      readonly peakRssBytes: number;
      readonly containers: number;
      /** Containers that grew, the most likely cause first. `notes` says what the agent makes of each. */
      readonly suspects: readonly Suspect[];
    }
  | Refused
  | Failed;

/** The output of the census process. */
export interface CensusResult {
  readonly census: ContainerCensus;
  readonly cpuMs: number;
  readonly snapshotBytes: number;
  readonly peakRssBytes: number;
}
