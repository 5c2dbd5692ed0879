/**
 * Messages between the application thread and the watcher. Each side holds one `Link`. Without a watcher thread the two
 * links are connected in memory, and nothing else changes.
 */
import type { StderrFile } from './core/stderr.ts';
import type { MessagePort } from 'node:worker_threads';
import type { Config } from './config/schema.ts';
import type { MetricState } from './export/metric.ts';
import type { Guard } from './core/guard.ts';
import type {
  Alert,
  AllocationProfile,
  Audit,
  Blind,
  CaptureReadings,
  Clock,
  Culprit,
  Failed,
  ForkedChild,
  ForkRequest,
  Identity,
  Refused,
  Sample,
  Snapshot,
  Status,
  UnfinishedSnapshot,
} from './types/index.ts';

/** The application thread drops and counts further samples while this many are unacknowledged. */
export const MAX_UNACKNOWLEDGED = 8;
/** Bound on requests without a reply, for a side that never replies. */
const MAX_PENDING_REQUESTS = 64;

/** Servers that the hooks watch and blind spots, for the start line. */
export interface Attached {
  readonly servers: readonly string[];
  readonly pings: boolean;
  readonly blind: readonly Blind[];
}

/** Counters of the agent's own work on the application thread. */
export interface AppCounters {
  readonly samplesTotal: number;
  readonly samplesDroppedTotal: number;
  readonly faults: Readonly<Record<string, number>>;
  /** An upper limit. */
  readonly sampleCpuMsTotal: number;
}

/** Messages and requests that the application thread sends. */
export interface FromApp {
  messages: {
    sample: { readonly sample: Sample; readonly counters: AppCounters };
    attached: Attached;
  };
  requests: {
    status: { request: null; reply: Status };
    snapshot: { request: string; reply: Snapshot };
    audit: { request: null; reply: Audit };
    stop: { request: null; reply: null };
  };
}

/** Messages and requests that the watcher sends. */
export interface FromWatcher {
  messages: {
    ready: null;
    /** Acknowledges all samples up to `seq` and brings the metrics computed from them. */
    ack: { readonly seq: number; readonly metrics: MetricState };
    transition: Alert;
    snapshot: Snapshot;
    report: { readonly alertId: string; readonly file: string };
    suspicion: boolean;
  };
  requests: {
    /** Inputs to the decision about a snapshot in this folder. */
    captureReadings: { request: string; reply: CaptureReadings | Failed };
    /** Writes a snapshot in this process. */
    snapshot: {
      request: { readonly dir: string; readonly label: string; readonly redact: boolean };
      reply: UnfinishedSnapshot | Failed;
    };
    /** Forks a child that writes a snapshot. */
    fork: { request: ForkRequest; reply: ForkedChild | Refused | Failed };
    locateListener: {
      request: { readonly emitter: string; readonly event: string };
      reply: Culprit | null;
    };
    /** The request is a `ResourceType`. */
    locateResources: { request: string; reply: Culprit | null };
    pingAll: { request: null; reply: null };
    profile: { request: 'start' | 'read' | 'stop'; reply: AllocationProfile | null };
  };
}

/** Everything a watcher needs to start, in its thread or on the application thread. */
export interface WatcherSetup {
  readonly config: Config;
  readonly identity: Identity;
  readonly env: Readonly<Record<string, string>>;
  /** The directory is set explicitly and not the default: the watcher keeps state there across restarts. */
  readonly isDirSet: boolean;
  /** The reason why the agent writes no files; null when it may. The watcher thread obeys it too. */
  readonly noFilesReason: string | null;
  /** The reason why no child process may be started; null when it may. The watcher thread obeys it too. */
  readonly noChildReason: string | null;
  readonly startedWallMs: number;
  readonly stderr: StderrFile;
  /** Memory of the heartbeat counter; null without a watcher thread. */
  readonly heartbeat: SharedArrayBuffer | null;
  /** Why the application thread cannot be forked for a heap snapshot; null when it can. */
  readonly forkUnavailable: string | null;
  /** Null with a watcher thread. */
  readonly noThreadReason: string | null;
  /** Number of watchers of this process that died before. */
  readonly restarts: number;
  /** Alerts that were open when the previous watcher died. */
  readonly openAlerts: readonly Alert[];
}

/** `workerData.wsguard` of the watcher thread. */
export interface WatcherThreadData {
  readonly setup: WatcherSetup;
  /** The watcher sends through this port and receives through `parentPort`. */
  readonly outgoing: MessagePort;
}

export interface Port {
  post(message: unknown): void;
  receive(listener: (message: unknown) => void): void;
}

export interface LinkDeps {
  readonly port: Port;
  readonly clock: Clock;
  /** Runs every send and every handler: a fault there would be an uncaught exception of the application. */
  readonly guard: Guard;
}

interface Protocol {
  messages: object;
  requests: { [name: string]: { request: unknown; reply: unknown } } | object;
}
type RequestOf<P extends Protocol, N extends keyof P['requests']> = P['requests'][N] extends {
  request: infer R;
}
  ? R
  : never;
type ReplyOf<P extends Protocol, N extends keyof P['requests']> = P['requests'][N] extends {
  reply: infer R;
}
  ? R
  : never;

export interface Link<Sent extends Protocol> {
  send<N extends keyof Sent['messages'] & string>(name: N, value: Sent['messages'][N]): void;
  /** Resolves with null when no reply came before the deadline. Never rejects. */
  request<N extends keyof Sent['requests'] & string>(
    name: N,
    value: RequestOf<Sent, N>,
    deadlineMs: number,
  ): Promise<ReplyOf<Sent, N> | null>;
  /** The other side is gone: resolves all pending requests with null. */
  close(): void;
}

/** One function for each message and each request of the other side. */
export interface MessageHandlers<Received extends Protocol> {
  onMessage: { [N in keyof Received['messages']]: (value: Received['messages'][N]) => void };
  onRequest: {
    [N in keyof Received['requests']]: (
      value: RequestOf<Received, N>,
    ) => Promise<ReplyOf<Received, N> | null>;
  };
}

interface Envelope {
  readonly type: 'message' | 'request' | 'reply';
  readonly name: string;
  readonly id: number;
  readonly value: unknown;
}

export function createLink<Sent extends Protocol, Received extends Protocol>(
  { port, clock, guard }: LinkDeps,
  handlers: MessageHandlers<Received>,
): Link<Sent> {
  const pending = new Map<number, (value: unknown) => void>();
  const onMessage = handlers.onMessage as Record<string, (value: unknown) => void>;
  const onRequest = handlers.onRequest as Record<string, (value: unknown) => Promise<unknown>>;
  let lastId = 0;

  const post = (envelope: Envelope): void =>
    guard.run(`send ${envelope.name}`, () => port.post(envelope), undefined);

  async function reply({ name, id, value }: Envelope): Promise<void> {
    const handle = async (): Promise<unknown> => (await onRequest[name]?.(value)) ?? null;
    post({ type: 'reply', name, id, value: await guard.runAsync(`reply to ${name}`, handle, null) });
  }

  const receive = (envelope: Envelope): void => {
    const { type, name, id, value } = envelope;
    if (type === 'message') guard.run(`receive ${name}`, () => onMessage[name]?.(value), undefined);
    else if (type === 'reply') pending.get(id)?.(value);
    else void reply(envelope);
  };
  port.receive((received) => guard.run('receive', () => receive(received as Envelope), undefined));

  return {
    send: (name, value) => post({ type: 'message', name, id: 0, value }),
    request(name, value, deadlineMs) {
      if (pending.size >= MAX_PENDING_REQUESTS) return Promise.resolve(null);
      const id = (lastId += 1);
      return new Promise((resolve) => {
        const settle = (reply: unknown): void => {
          stopTimer();
          pending.delete(id);
          resolve(reply as ReplyOf<Sent, typeof name> | null);
        };
        const stopTimer = clock.after(deadlineMs, () => settle(null));
        pending.set(id, settle);
        post({ type: 'request', name, id, value });
      });
    },
    close() {
      for (const settle of pending.values()) settle(null);
    },
  };
}

/** Two connected ports in memory. They deliver on a later turn of the event loop, as ports between threads do. */
export function createPortPair(clock: Clock): [Port, Port] {
  const listeners: ((message: unknown) => void)[][] = [[], []];
  const port = (index: 0 | 1): Port => ({
    post: (message) =>
      void clock.after(0, () => {
        for (const listener of listeners[1 - index] ?? []) listener(message);
      }),
    receive: (listener) => void listeners[index]?.push(listener),
  });
  return [port(0), port(1)];
}
