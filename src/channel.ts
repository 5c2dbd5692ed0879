/**
 * What the application's thread and the watcher say to one another. Both ends are this one `Link`; with the thread
 * off, its port is a pair in memory and nothing else changes.
 */
import type { MessagePort } from 'node:worker_threads';
import type { Config } from './config/schema.ts';
import type { MetricState } from './export/metric.ts';
import type { Guard } from './core/guard.ts';
import type {
  Alert,
  AllocationProfile,
  Blind,
  Clock,
  Culprit,
  Failed,
  Identity,
  Refused,
  Sample,
  Snapshot,
  Status,
  Taken,
} from './types/index.ts';

/** Samples on their way that the watcher has not acknowledged; further ones are dropped and counted. */
export const MAX_UNACKNOWLEDGED = 8;
/** Questions without an answer yet: a bound against a side that never answers. */
const MAX_PENDING = 64;

export interface Attached {
  readonly servers: readonly string[];
  readonly pings: boolean;
  readonly blind: readonly Blind[];
}

/** What the agent counts of itself on the application's thread. */
export interface AppCounters {
  readonly samplesTotal: number;
  readonly samplesDroppedTotal: number;
  readonly faults: Readonly<Record<string, number>>;
  readonly sampleMsTotal: number;
}

/** The application's thread. */
export interface AppSide {
  tells: {
    sample: { readonly sample: Sample; readonly counters: AppCounters };
    attached: Attached;
  };
  asks: {
    status: { ask: null; answer: Status };
    snapshot: { ask: string; answer: Snapshot };
    stop: { ask: null; answer: null };
  };
}

/** The watcher. */
export interface WatcherSide {
  tells: {
    ready: null;
    /** The last sample it has worked off, and the metrics that came of it. */
    ack: { readonly seq: number; readonly metrics: MetricState };
    transition: Alert;
    snapshot: Snapshot;
    report: { readonly alertId: string; readonly file: string };
    suspicion: boolean;
  };
  asks: {
    snapshot: { ask: { readonly folder: string; readonly label: string }; answer: Taken | Refused | Failed };
    locate: { ask: { readonly emitter: string; readonly event: string }; answer: Culprit | null };
    askAll: { ask: null; answer: null };
    profile: { ask: 'start' | 'stop'; answer: AllocationProfile | null };
  };
}

/** What a watcher is started with, in a thread or beside the application. */
export interface Setup {
  readonly config: Config;
  readonly identity: Identity;
  readonly env: Readonly<Record<string, string>>;
  /** Said by somebody, not the default: state is kept there. */
  readonly isDirSet: boolean;
  /** Files in its directory; what `--permission` denies the application, a thread of ours does not do either. */
  readonly mayWrite: boolean;
  readonly startedWallMs: number;
  readonly beat: SharedArrayBuffer | null;
  /** Why there is no thread; null when there is one. */
  readonly threadless: string | null;
  /** How many watchers of this process died before this one. */
  readonly restarts: number;
  /** Open when the watcher before this one died. */
  readonly openAlerts: readonly Alert[];
}

/** What the Worker of a watcher finds. */
export interface ThreadData {
  readonly setup: Setup;
  /** By which it speaks; it hears by the port that every Worker has. */
  readonly mouth: MessagePort;
}

/** What arrives and leaves through it passes the guard: a fault here would be the application's uncaught exception. */
export interface PortDeps {
  readonly port: Port;
  readonly clock: Clock;
  readonly guard: Guard;
}

export interface Port {
  post(message: unknown): void;
  receive(listener: (message: unknown) => void): void;
}

interface Side {
  tells: object;
  asks: { [name: string]: { ask: unknown; answer: unknown } } | object;
}
type Ask<S extends Side, N extends keyof S['asks']> = S['asks'][N] extends { ask: infer A } ? A : never;
type Answer<S extends Side, N extends keyof S['asks']> = S['asks'][N] extends { answer: infer A } ? A : never;

export interface Link<Self extends Side> {
  tell<N extends keyof Self['tells'] & string>(name: N, value: Self['tells'][N]): void;
  /** Resolves with null when no answer came in time. */
  ask<N extends keyof Self['asks'] & string>(
    name: N,
    value: Ask<Self, N>,
    deadlineMs: number,
  ): Promise<Answer<Self, N> | null>;
  /** The other side is gone: whoever waits is answered with null now. */
  hangUp(): void;
}

/** What one side does with the words of the other. */
export interface Ears<Other extends Side> {
  hear: { [N in keyof Other['tells']]: (value: Other['tells'][N]) => void };
  answer: { [N in keyof Other['asks']]: (value: Ask<Other, N>) => Promise<Answer<Other, N> | null> };
}

interface Wire {
  readonly kind: 'tell' | 'ask' | 'answer';
  readonly name: string;
  readonly id: number;
  readonly value: unknown;
}

export function createLink<Self extends Side, Other extends Side>(
  { port, clock, guard }: PortDeps,
  ears: Ears<Other>,
): Link<Self> {
  const pending = new Map<number, (value: unknown) => void>();
  const hear = ears.hear as Record<string, (value: unknown) => void>;
  const answer = ears.answer as Record<string, (value: unknown) => Promise<unknown>>;
  let lastId = 0;
  const post = (wire: Wire): void => guard.run(`say ${wire.name}`, () => port.post(wire), undefined);

  port.receive((message) => {
    const { kind, name, id, value } = message as Wire;
    if (kind === 'tell') guard.run(`hear ${name}`, () => hear[name]?.(value), undefined);
    else if (kind === 'answer') pending.get(id)?.(value);
    else {
      void guard
        .runAsync(`answer ${name}`, async () => answer[name]?.(value) ?? null, null)
        .then((result) => post({ kind: 'answer', name, id, value: result }));
    }
  });

  return {
    tell: (name, value) => post({ kind: 'tell', name, id: 0, value }),
    ask(name, value, deadlineMs) {
      if (pending.size >= MAX_PENDING) return Promise.resolve(null);
      const id = (lastId += 1);
      return new Promise((resolve) => {
        const settle = (result: unknown): void => {
          stopTimer();
          pending.delete(id);
          resolve(result as Answer<Self, typeof name> | null);
        };
        const stopTimer = clock.after(deadlineMs, () => settle(null));
        pending.set(id, settle);
        post({ kind: 'ask', name, id, value });
      });
    },
    hangUp() {
      for (const settle of pending.values()) settle(null);
    },
  };
}

/** Two ports that hand messages to one another on a later turn, as threads would. */
export function createPortPair(clock: Clock): [Port, Port] {
  const listeners: ((message: unknown) => void)[][] = [[], []];
  const port = (self: 0 | 1): Port => ({
    post: (message) =>
      void clock.after(0, () => {
        for (const listener of listeners[1 - self] ?? []) listener(message);
      }),
    receive: (listener) => void listeners[self]?.push(listener),
  });
  return [port(0), port(1)];
}
