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
}
