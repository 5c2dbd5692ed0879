/** `Analysis`: the contents of one heap snapshot, or the growth between two or three of them (docs/cli.md, `wsguard analyse`). */

export interface SourceLocation {
  readonly file: string;
  /** From 1. */
  readonly line: number;
  readonly function: string | null;
  /** From 1. Set only for very long lines: minified code without a source map. */
  readonly column?: number;
  /** `name@version` when the file belongs to a package. */
  readonly package?: string | null;
}

/** A container that gained entries. Containers in the same field of the same class are one suspect. */
export interface Suspect {
  readonly rank: number;
  /** `connections`, `listeners of 'message' on RedisClient`. */
  readonly name: string;
  readonly type: SuspectType;
  /** The retaining path in the syntax of code, one step per element: `bus`, `._events`, `.message`, `[312]`. */
  readonly path: readonly string[];
  /** The line that adds the entries; if it is unknown, the code that owns the container. */
  readonly location: SourceLocation | null;
  /** The code of a package or of Node that adds or wraps the entries for the application's code at `location`. */
  readonly through?: SourceLocation;
  /** The code that creates the entries, when other code adds them to the container. */
  readonly maker?: SourceLocation;
  readonly objects: number;
  readonly retainedBytes: number;
  readonly growth: { readonly objects: number; readonly bytes: number } | null;
  readonly confidence: number;
  /** Number of containers that this suspect stands for. */
  readonly containers: number;
  /** Class of the entries: `WebSocket`, `function onMessage`. */
  readonly entries: string;
  /** Field names and classes of one entry, never values. */
  readonly example: readonly { readonly name: string; readonly is: string }[];
  /** Other containers that retain the same entries. To remove the entries from this container alone frees nothing. */
  readonly otherRetainers: readonly string[];
  /** Sentences with more evidence: closed sockets among the entries, the same function added repeatedly. */
  readonly notes: readonly string[];
  readonly known: KnownLeak | null;
  /**
   * The retaining path object by object, down to an example entry and to the object that shows that the entry is no
   * longer needed. Empty when there is no such path.
   */
  readonly steps: readonly RetainingStep[];
  /** Bytes that this suspect and others retain together: they are freed only when all of them release their entries. */
  readonly shared: readonly SharedRetention[];
}

/** One object on a retaining path, and whether it should still be alive. */
export interface RetainingStep {
  /** The access from the step before, in the syntax of code. */
  readonly text: string;
  /** Class of the object. */
  readonly is: string;
  readonly state: 'not-leaking' | 'unknown' | 'leaking';
  /** The fact in the snapshots that proves the state, or the step that it follows from. */
  readonly because: string | null;
  /** True for references between the last object that should be alive and the first that should not. */
  readonly isSuspect: boolean;
}

export interface SharedRetention {
  /** The other suspects. */
  readonly with: readonly { readonly rank: number; readonly name: string }[];
  readonly bytes: number;
}

/** Sockets that servers of this process accepted, counted in the snapshots. */
export interface ConnectionCount {
  readonly open: number;
  /** Closed but still in the heap. */
  readonly closed: number;
  /** The same counts in the first snapshot; null with a single snapshot. */
  readonly before: { readonly open: number; readonly closed: number } | null;
  /**
   * Changes since the first snapshot; null when object ids do not match between the files. A connection that opened and
   * was collected between two snapshots is in neither of them.
   */
  readonly since: {
    /** New since the first snapshot, and open. */
    readonly opened: number;
    /** New since the first snapshot, closed, and still in the heap. */
    readonly openedAndClosed: number;
    /** Open in the first snapshot, closed now, and still in the heap. */
    readonly closed: number;
    /** In the first snapshot and no longer in the heap. */
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

/** A known leak of a published package. */
export interface KnownLeak {
  readonly id: string;
  readonly package: string;
  readonly range: string;
  readonly advice: string;
}

/** A container that grew but is not a suspect: it has a bound, it grows by design, or its entries will be removed soon. */
export interface ExpectedGrowth {
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
  /** Difference to the first snapshot; null with a single snapshot. */
  readonly growth: { readonly objects: number; readonly bytes: number } | null;
}

/** Single snapshot: an object that retains a large share of the heap. */
export interface Holder {
  readonly name: string;
  readonly type: string;
  readonly path: readonly string[];
  readonly location: SourceLocation | null;
  readonly objects: number;
  readonly retainedBytes: number;
  /** Share of all bytes in the snapshot, 0 to 1. */
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
  readonly growing: readonly ExpectedGrowth[];
  /** True when two or three snapshots have no suspect. Always false for a single snapshot, which cannot show growth. */
  readonly clean: boolean;
  /** One sentence: why it is clean, or the first suspect. */
  readonly because: string;
  /** How the objects of two snapshots were matched; null with a single snapshot. */
  readonly matchedBy: 'id' | 'path' | null;
  readonly holders: readonly Holder[];
  readonly classes: readonly ClassRow[];
  /** Memory outside the JavaScript heap that the snapshot lists. */
  readonly external: readonly ClassRow[];
  /** Null when no snapshot contains a connection that a server accepted. */
  readonly connections: ConnectionCount | null;
  /** Between the first and the last snapshot, when a report of the agent lies in the same folder. */
  readonly served?: Served;
}

/** Connections that the agent counted, including those that are in no snapshot. */
export interface Served {
  readonly opened: number;
  readonly closed: number;
}
