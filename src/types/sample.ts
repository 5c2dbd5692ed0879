/** Types of a `Sample`: the state of the process at one time. The black box and recordings store samples as JSON. */

import type { Alert, Identity } from './alert.ts';

/** How a connection reached the server. `upgraded`: an HTTP upgrade by an unknown library, which cannot be probed. */
export type Transport = 'websocket' | 'sse' | 'polling' | 'upgraded';
export const TRANSPORTS: readonly Transport[] = ['websocket', 'sse', 'polling', 'upgraded'];
export type ByTransport = Readonly<Record<Transport, number>>;

/**
 * How a connection ended. `app_shutdown`: the server shut down. `timeout`: the peer did not reply and the connection was
 * given up. `abnormal`: every other end without a closing handshake or an end of the stream, and codes that report errors.
 */
export const CLOSE_STATUSES = ['normal_closure', 'abnormal', 'timeout', 'app_shutdown'] as const;
export type CloseStatus = (typeof CLOSE_STATUSES)[number];

export interface MemoryReading {
  readonly heapUsedBytes: number;
  readonly heapTotalBytes: number;
  /** V8's heap_size_limit: max-old-space-size plus three semi-spaces. */
  readonly heapLimitBytes: number;
  /** Used bytes of all heap spaces except the young generation. */
  readonly oldSpaceBytes: number;
  readonly rssBytes: number;
  readonly externalBytes: number;
  readonly arrayBuffersBytes: number;
  readonly mallocedBytes: number;
  readonly peakMallocedBytes: number;
}

export interface LimitsReading {
  /** The size to which old space can grow: heap_size_limit minus three semi-spaces. */
  readonly heapCapacityBytes: number;
  /** The cgroup's memory limit; null when there is none or it is not below physical memory. */
  readonly containerBytes: number | null;
  /** The cgroup's use without reclaimable file cache. */
  readonly containerUsedBytes: number | null;
  readonly containerOomKills: number | null;
}

/** Post-GC heap: old space right after a major GC, exact (v8.GCProfiler). */
export interface PostGcHeap {
  readonly atMs: number;
  readonly bytes: number;
}

export interface GcReading {
  readonly minorTotal: number;
  readonly majorTotal: number;
  readonly incrementalTotal: number;
  readonly pauseMsTotal: number;
  /** The latest one since the previous sample; null when no major GC ended in between. */
  readonly floor: PostGcHeap | null;
}

export interface LoopReading {
  readonly delayP99Ms: number;
  readonly delayMaxMs: number;
}

export interface DescriptorsReading {
  readonly open: number;
  readonly limit: number | null;
}

export interface HistogramReading {
  /** Upper bounds of the buckets. `counts` is cumulative and has one more entry, for +Inf. */
  readonly boundsSeconds: readonly number[];
  readonly counts: readonly number[];
  readonly sumSeconds: number;
}

/** Durations of the closed connections of one transport that ended in one way. */
export interface ConnectionDurations {
  readonly transport: Transport;
  readonly status: CloseStatus;
  readonly durations: HistogramReading;
}

/** Only where the application uses the remedies of `@wsguard/agent/remedy`. */
export interface RemediesReading {
  /** Number of actions by `remedy action`, such as `safeSend dropped`. */
  readonly actions: Readonly<Record<string, number>>;
  /** From the publishing of a message to its receipt by the fan-out; null before the first. */
  readonly fanoutLag: HistogramReading | null;
}

export interface ConnectionsReading {
  readonly active: ByTransport;
  readonly openedTotal: ByTransport;
  readonly closedTotal: ByTransport;
  /** Open and probed, and nothing came back within the window. Connections that cannot be probed do not count. */
  readonly unanswering: number;
  /** Those of `unanswering` that have been silent before for about as long, and came back. Recordings lack it. */
  readonly asleep?: number;
  /** How often a peer came back that was unanswering and not asleep: about once for each peer that sleeps. */
  readonly awokenTotal?: number;
  /**
   * Connections that were `unanswering` and not asleep after more than 35 min of silence, until the peer shows that it lives.
   * After a stall of the event loop they can be more than `unanswering` for a minute.
   */
  readonly lost?: number;
  /** How often one of `lost` came back or closed. */
  readonly lostEndedTotal?: number;
  /** Open, and cannot be probed. */
  readonly unaskable: number;
  /** Closed, and still in memory after two major GCs; null before two were seen. */
  readonly retained: number | null;
  /** Closed, and still in memory at the last major GC. */
  readonly uncollected: number;
  readonly sendBufferBytes: number;
  /** Connections with more than 64 KiB of pending writes whose peer still reads. */
  readonly slow: number;
  readonly closeCodes: Readonly<Record<string, number>>;
  /** Only after the first close. Long-polling sessions have none: engine.io keeps no reason of a close. */
  readonly durations?: readonly ConnectionDurations[];
  /** Bytes from the peers. Recordings lack it. */
  readonly receivedBytesTotal?: number;
  readonly messagesSentTotal: number;
  readonly messagesFailedTotal: number;
  readonly rtt: HistogramReading | null;
  /** WSGUARD_MAX_CONNECTIONS, else the sum of `server.maxConnections`; null when neither is set. */
  readonly maxConnections: number | null;
  /** Only where some silent connections are pinged under suspicion only (docs/architecture.md). */
  readonly suspicionProbes?: SuspicionProbes;
  /** Only when the application gave ids with `watchConnection`. */
  readonly ids?: ConnectionIds;
}

/** Connections that were silent for 3 min and that the agent pings only while something is suspected. */
export interface SuspicionProbes {
  readonly silent: number;
  /** Those of `silent` that were pinged in the last six minutes, or that did not reply. */
  readonly probed: number;
  /** Those of `probed` that did not reply. */
  readonly unanswering: number;
  /** Those of `unanswering` for whose pongs the application listens, and to which it has never sent a ping. */
  readonly halfHeartbeat: number;
}

/** Ids of up to three connections of each group, as examples. A connection without an id is in no list. */
export interface ConnectionIds {
  readonly unanswering: readonly string[];
  readonly slow: readonly string[];
  readonly retained: readonly string[];
}

/** `app`: registered by the application. `found`: discovered by the agent. `replay --signals preload` hides `app`. */
export type Source = 'app' | 'found';

export interface RegistryReading {
  readonly name: string;
  readonly entries: number;
  /**
   * Closed connections among the 20 oldest entries from which the application has removed the `close` listener of the
   * library. Only of lists of WebSocket libraries, and only where there are some.
   */
  readonly strippedEntries?: number;
  /** False: no connection was seen in its entries, so they may be sessions or a cache. Only of discovered ones. */
  readonly areConnections?: boolean;
  /** True: a limit beside it is not reached, or its oldest entry has yet to expire. Only where `areConnections` is false. */
  readonly isBounded?: boolean;
  /** True: its entries have the time of their last event, so a sweep may remove old ones. Only of discovered connections. */
  readonly hasLastEventTime?: boolean;
  /** True: its oldest entry was another one in most of the last 20 readings. Only of discovered Maps and Sets. */
  readonly isWorkedOff?: boolean;
  readonly source: Source;
}
export interface QueueReading {
  readonly name: string;
  readonly items: number;
  readonly oldestAgeMs: number | null;
  /** False: no code takes items from its front, so it may be a history that grows to a bound. Only of discovered ones. */
  readonly isTaken?: boolean;
  readonly source: Source;
}
export interface RoomsReading {
  readonly name: string;
  readonly rooms: number;
  readonly members: number;
  /** Each room is an object, which can have another purpose than its members: a document. Only of discovered ones. */
  readonly areObjects?: boolean;
  readonly source: Source;
}
/** How a listener count changed since the agent follows it (docs/adr/0017). */
export interface ListenerChangesReading {
  /** Opened connections in whose readings no other connection closed, and the listeners that these readings added. */
  readonly opened: number;
  readonly added: number;
  /** Listeners that were added or removed at another time than the open or close of a connection. */
  readonly other: number;
  /** Open connections when the agent began to follow the count, and the listeners then. */
  readonly unseen: number;
  readonly before: number;
}
export interface EmitterReading {
  readonly emitter: string;
  /** The name of an event; `*` for the sum over the emitter. */
  readonly event: string;
  readonly listeners: number;
  /** Number of event names on the emitter, only on the `*` row. */
  readonly eventNames: number | null;
  /** Only for the events with most listeners, of connections of ws. */
  readonly changes?: ListenerChangesReading;
  readonly source: Source;
}

/**
 * Kinds of resources that the application keeps open. The first ones come from Node, on the application thread. `timer`:
 * intervals, and timers that end within half an hour. `timeout`: timers that fire once, of any duration. `thread`:
 * threads of the process, so also Workers. `descriptor`: open descriptors without the accepted sockets, in all and by
 * the file that they refer to.
 */
export const RESOURCE_TYPES = [
  'timer',
  'timeout',
  'child_process',
  'pipe',
  'outgoing_socket',
  'udp_socket',
  'file_watcher',
  'message_port',
  'thread',
  'descriptor',
  'descriptor_file',
  'descriptor_socket',
  'descriptor_pipe',
  'descriptor_other',
] as const;
export type ResourceType = (typeof RESOURCE_TYPES)[number];
/** A type is missing where nothing could count it. */
export type ResourceCounts = Readonly<Partial<Record<ResourceType, number>>>;

/** The state of the process at one time. Live and replayed samples have the same type. */
export interface Sample {
  /** Consecutive. A gap means that samples were dropped. */
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
  /** Empty between two counts, which are rarer where they take long. Samples of older agents lack it. */
  readonly resources?: ResourceCounts;
  /** Events since the previous sample that explain a step: a snapshot of the agent, a suspended machine. */
  readonly marks: readonly SampleMark[];
  readonly blind: readonly Blind[];
  readonly remedies?: RemediesReading;
  /** WSGUARD_TIME_SCALE of the process. Only in recordings, and absent when it is 1. */
  readonly timeScale?: number;
}

export type SampleMark = 'snapshot' | 'clock-jump';

/** Something that the agent cannot see in this process, and why. */
export interface Blind {
  readonly what: string;
  readonly why: string;
}

/** The process that writes a black box. */
export interface BlackBoxOwner {
  readonly identity: Identity;
  readonly startedWallMs: number;
  /** The boot and the start time distinguish this process from a later one with the same pid; null outside Linux. */
  readonly bootId: string | null;
  readonly startTicks: string | null;
}

/** A reading between two samples, four times a second. Null where the system does not show the value. */
export interface MemoryPoint {
  readonly wallMs: number;
  readonly rssBytes: number;
  /** At the last heartbeat of the application thread, so it stands still while that thread is blocked. */
  readonly heapUsedBytes: number;
  readonly externalBytes: number;
  readonly containerUsedBytes: number | null;
  /** Processes of the container that the kernel's OOM killer ended. */
  readonly containerOomKills: number | null;
  /** Share of the last 10 s in which a task of the container, or of the machine, waited for memory. */
  readonly pressureShare: number | null;
}

/** The black box of a process that ended without an `exit` event. It has up to one hour of samples, oldest first. */
export interface CrashRecord {
  readonly owner: BlackBoxOwner;
  readonly samples: readonly Sample[];
  /** The last minute, oldest first. Empty for a process of an older agent. */
  readonly lastMinute: readonly MemoryPoint[];
  readonly openAlerts: readonly Alert[];
}

const UNKNOWN: ByTransport = {
  websocket: Number.NaN,
  sse: Number.NaN,
  polling: Number.NaN,
  upgraded: Number.NaN,
};
/**
 * A sample without readings. Sources that know only some of the fields spread it, so a new field gets its empty value
 * here. Detectors skip values that are NaN.
 */
export const UNKNOWN_SAMPLE: Sample = {
  seq: 0,
  atMs: 0,
  wallMs: 0,
  uptimeMs: 0,
  memory: {
    heapUsedBytes: Number.NaN,
    heapTotalBytes: Number.NaN,
    heapLimitBytes: Number.NaN,
    oldSpaceBytes: Number.NaN,
    rssBytes: Number.NaN,
    externalBytes: Number.NaN,
    arrayBuffersBytes: Number.NaN,
    mallocedBytes: Number.NaN,
    peakMallocedBytes: Number.NaN,
  },
  limits: {
    heapCapacityBytes: Number.NaN,
    containerBytes: null,
    containerUsedBytes: null,
    containerOomKills: null,
  },
  gc: {
    minorTotal: Number.NaN,
    majorTotal: Number.NaN,
    incrementalTotal: Number.NaN,
    pauseMsTotal: Number.NaN,
    floor: null,
  },
  loop: null,
  descriptors: null,
  connections: {
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
  },
  registries: [],
  queues: [],
  rooms: [],
  emitters: [],
  marks: [],
  blind: [],
};
