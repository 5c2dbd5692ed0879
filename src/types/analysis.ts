/** `Analysis`: what one snapshot, or two or three compared, contains. */

export interface SourceLocation {
  readonly file: string;
  /** From 1. */
  readonly line: number;
  readonly function: string | null;
  /** From 1; there where the line is so long that it says nothing: in minified code without a source map. */
  readonly column?: number;
  /** `name@version` when the file belongs to a package. */
  readonly package?: string | null;
}

/** A container and what piled up in it; like containers are one suspect. */
export interface Suspect {
  readonly rank: number;
  /** `connections`, `listeners of 'message' on RedisClient`. */
  readonly name: string;
  readonly type: SuspectType;
  /** As code would read it, one step an element: `bus`, `._events`, `.message`, `[312]`. */
  readonly path: readonly string[];
  /** The line to look at: where the entries come from, else what owns the container. */
  readonly location: SourceLocation | null;
  /** Who makes the entries, where someone else adds them. */
  readonly maker?: SourceLocation;
  readonly objects: number;
  readonly retainedBytes: number;
  readonly growth: { readonly objects: number; readonly bytes: number } | null;
  readonly confidence: number;
  /** How many like containers this line speaks of. */
  readonly containers: number;
  /** What the entries are: `WebSocket`, `closure onMessage`. */
  readonly entries: string;
  /** One entry: names and kinds of its fields, never their values. */
  readonly example: readonly { readonly name: string; readonly is: string }[];
  /** What else holds the same entries: freeing them here alone frees nothing. */
  readonly otherRetainers: readonly string[];
  /** Sentences that a reader needs to believe it: closed sockets among them, growth by design. */
  readonly notes: readonly string[];
  readonly known: KnownLeak | null;
  /**
   * The path once more, object by object, on to an example entry and to what shows that nobody needs it any more.
   * Empty where there is no such path.
   */
  readonly steps: readonly HeldStep[];
  /** Bytes that this suspect and others keep alive together: they are freed when all of them let go, not before. */
  readonly shared: readonly Shared[];
}

/** One object on the way, and whether it should still be there. */
export interface HeldStep {
  /** How code would go there from the step before. */
  readonly text: string;
  /** Its class. */
  readonly is: string;
  readonly state: 'not-leaking' | 'unknown' | 'leaking';
  /** The fact in the snapshots that says so, or the step that it follows from. */
  readonly because: string | null;
  /** The reference that leads here lies between the last that should be there and the first that should not. */
  readonly isSuspect: boolean;
}

export interface Shared {
  /** The other suspects. */
  readonly with: readonly { readonly rank: number; readonly name: string }[];
  readonly bytes: number;
}

/** Sockets that servers of this process accepted, as far as snapshots know them. */
export interface ConnectionCount {
  readonly open: number;
  /** Closed, and still held. */
  readonly closed: number;
  /** The same in the first snapshot; null with a single one. */
  readonly before: { readonly open: number; readonly closed: number } | null;
  /** Which are which; null where objects have no ids to tell. What opened and was collected meanwhile is in no snapshot. */
  readonly since: {
    /** New since the first snapshot, and open. */
    readonly opened: number;
    /** New since the first snapshot, closed, and still held. */
    readonly openedAndClosed: number;
    /** Open in the first snapshot, closed now, and still held. */
    readonly closed: number;
    /** In the first snapshot and not there any more. */
    readonly released: number;
  } | null;
}

export type SuspectType =
  | 'Map'
  | 'Set'
  | 'Array'
  | 'Object'
  | 'Listeners'
  | 'Timers'
  | 'Promises'
  | 'List'
  | 'Context'
  | 'Handles'
  | 'ArrayBuffers'
  | 'Native'
  | 'Strings';

/** A leak of a published package that others have met before. */
export interface KnownLeak {
  readonly id: string;
  readonly package: string;
  readonly range: string;
  readonly advice: string;
}

/** It grew and is not called a leak: it is bounded, by design, or will go by itself. */
export interface Growing {
  readonly name: string;
  readonly path: readonly string[];
  readonly location: SourceLocation | null;
  readonly objects: number;
  readonly because: string;
}

export interface ClassRow {
  readonly name: string;
  readonly objects: number;
  readonly bytes: number;
  /** Against the first snapshot; null with a single one. */
  readonly growth: { readonly objects: number; readonly bytes: number } | null;
}

/** Single snapshot: one thing that holds a share of the memory. */
export interface Holder {
  readonly name: string;
  readonly type: string;
  readonly path: readonly string[];
  readonly location: SourceLocation | null;
  readonly objects: number;
  readonly retainedBytes: number;
  /** Of all bytes in the snapshot, 0 to 1. */
  readonly share: number;
}

/** Schema wsguard.analysis/1. */
export interface Analysis {
  readonly schema: 'wsguard.analysis/1';
  readonly snapshots: readonly {
    readonly file: string;
    readonly nodes: number;
    readonly edges: number;
    readonly selfBytes: number;
  }[];
  readonly suspects: readonly Suspect[];
  readonly growing: readonly Growing[];
  /** Two or three snapshots and nothing grows. A single snapshot is never called clean or leaking. */
  readonly clean: boolean;
  /** Why it is clean, or what the suspects rest on, in a sentence. */
  readonly because: string;
  /** How objects of the snapshots were told to be the same. */
  readonly matchedBy: 'id' | 'path' | null;
  readonly holders: readonly Holder[];
  readonly classes: readonly ClassRow[];
  /** Memory outside the JavaScript heap that the snapshot knows of. */
  readonly external: readonly ClassRow[];
  /** Null where no server has accepted a connection that a snapshot shows. */
  readonly connections: ConnectionCount | null;
  /** Between the first and the last snapshot, when a report of the agent lies beside them. */
  readonly served?: Served;
}

/** Connections that the agent counted, those too that no snapshot shows. */
export interface Served {
  readonly opened: number;
  readonly closed: number;
}
