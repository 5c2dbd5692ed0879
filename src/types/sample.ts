/** `Sample`: what was true at one instant. */

/** How a connection reached us. `upgraded`: an upgrade whose library cannot be told, hence not asked. */
export type Transport = 'websocket' | 'sse' | 'polling' | 'upgraded';
export const TRANSPORTS: readonly Transport[] = ['websocket', 'sse', 'polling', 'upgraded'];
export type ByTransport = Readonly<Record<Transport, number>>;

export interface MemoryReading {
  readonly heapUsedBytes: number;
  readonly heapTotalBytes: number;
  /** v8's heap_size_limit: max-old-space-size plus three semi-spaces. */
  readonly heapLimitBytes: number;
  /** Used in every space but the young ones. */
  readonly oldSpaceBytes: number;
  readonly rssBytes: number;
  readonly externalBytes: number;
  readonly arrayBuffersBytes: number;
  readonly mallocedBytes: number;
  readonly peakMallocedBytes: number;
}

export interface LimitsReading {
  /** What old space may really grow to: heap_size_limit minus three semi-spaces of the flags in force. */
  readonly heapCapacityBytes: number;
  /** The cgroup's limit, null when there is none (a value at or above physical memory is none). */
  readonly containerBytes: number | null;
  /** The cgroup's use without reclaimable file cache. */
  readonly containerUsedBytes: number | null;
  readonly containerOomKills: number | null;
}

/** Old space right after a major collection, exact (v8.GCProfiler). */
export interface Floor {
  readonly atMs: number;
  readonly bytes: number;
}

export interface GcReading {
  readonly minorTotal: number;
  readonly majorTotal: number;
  readonly incrementalTotal: number;
  readonly pauseMsTotal: number;
  /** The last floor since the previous sample, null when no major collection ended. */
  readonly floor: Floor | null;
}

export interface LoopReading {
  readonly delayP99Ms: number;
  readonly delayMaxMs: number;
}

export interface DescriptorsReading {
  readonly open: number;
  readonly limit: number | null;
}

export interface RttReading {
  /** Upper bounds in seconds, then cumulative counts of the same length plus one for +Inf. */
  readonly boundsSeconds: readonly number[];
  readonly counts: readonly number[];
  readonly sumSeconds: number;
}

export interface ConnectionsReading {
  readonly active: ByTransport;
  readonly openedTotal: ByTransport;
  readonly closedTotal: ByTransport;
  /** Open, asked, and nothing came back within the window. Never holds what could not be asked. */
  readonly unanswering: number;
  /** Open and cannot be asked. */
  readonly unaskable: number;
  /** Closed and still alive after two major collections (WeakRef ring); null before two were seen. */
  readonly retained: number | null;
  /** Closed and not yet collected, read after the last major collection. */
  readonly uncollected: number;
  readonly sendBufferBytes: number;
  /** Connections with more than 64 KiB waiting to be sent whose peer still reads. */
  readonly slow: number;
  readonly closeCodes: Readonly<Record<string, number>>;
  readonly messagesSentTotal: number;
  readonly messagesFailedTotal: number;
  readonly rtt: RttReading | null;
  /** What the server itself allows: `server.maxConnections` or WSGUARD_MAX_CONNECTIONS. */
  readonly maxConnections: number | null;
  /** Only when the application gave ids with `watchConnection`. */
  readonly ids?: ConnectionIds;
}

/** Ids of up to three connections of each group, as examples. A connection without an id is in no list. */
export interface ConnectionIds {
  readonly unanswering: readonly string[];
  readonly slow: readonly string[];
  readonly retained: readonly string[];
}

/** `app`: registered by the application; `found`: reached by the preload alone. Replay's `preload` hides `app`. */
export type Source = 'app' | 'found';

export interface RegistryReading {
  readonly name: string;
  readonly entries: number;
  readonly source: Source;
}
export interface QueueReading {
  readonly name: string;
  readonly items: number;
  readonly oldestAgeMs: number | null;
  /** False: nobody was seen to take from its front; it may be a history on its way to its bound. Only when found. */
  readonly isTaken?: boolean;
  readonly source: Source;
}
export interface RoomsReading {
  readonly name: string;
  readonly rooms: number;
  readonly members: number;
  /** Each room is an object, which may be kept for more than its members: a session, a document. Only when found. */
  readonly areObjects?: boolean;
  readonly source: Source;
}
export interface EmitterReading {
  readonly emitter: string;
  /** An event's name, `*` for the sum over the emitter. */
  readonly event: string;
  readonly listeners: number;
  /** Number of event names on the emitter, only on the `*` row. */
  readonly eventNames: number | null;
  readonly source: Source;
}

/** What was true at one instant. Live, threadless and replayed samples are this one type. */
export interface Sample {
  /** Consecutive; a hole means samples were dropped. */
  readonly seq: number;
  readonly atMs: number;
  readonly wallMs: number;
  readonly uptimeMs: number;
  readonly memory: MemoryReading;
  readonly limits: LimitsReading;
  readonly gc: GcReading;
  readonly loop: LoopReading | null;
  readonly descriptors: DescriptorsReading | null;
  readonly connections: ConnectionsReading;
  readonly registries: readonly RegistryReading[];
  readonly queues: readonly QueueReading[];
  readonly rooms: readonly RoomsReading[];
  readonly emitters: readonly EmitterReading[];
  /** One-off events inside the period that explain a step: our own snapshot, a suspended laptop. */
  readonly marks: readonly SampleMark[];
  readonly blind: readonly Blind[];
}

export type SampleMark = 'snapshot' | 'clock-jump' | 'beat-silent';

/** Something the agent cannot see here, and why. */
export interface Blind {
  readonly what: string;
  readonly why: string;
}

const UNKNOWN: ByTransport = {
  websocket: Number.NaN,
  sse: Number.NaN,
  polling: Number.NaN,
  upgraded: Number.NaN,
};
/** Where nobody counts connections; what is not a number is not judged. */
export const UNKNOWN_CONNECTIONS: ConnectionsReading = {
  active: UNKNOWN,
  openedTotal: UNKNOWN,
  closedTotal: UNKNOWN,
  unanswering: Number.NaN,
  unaskable: Number.NaN,
  retained: null,
  uncollected: Number.NaN,
  sendBufferBytes: Number.NaN,
  slow: Number.NaN,
  closeCodes: {},
  messagesSentTotal: Number.NaN,
  messagesFailedTotal: Number.NaN,
  rtt: null,
  maxConnections: null,
};
