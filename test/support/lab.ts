/** Types of fixtures/lab.js: a server with the built agent, clients in other processes, and the alerts of the server. */
import type { Alert } from '../../src/types/index.ts';

export type Transition = Alert & { readonly seenAfterMs: number };
export interface Wait {
  readonly deadlineMs?: number;
  readonly everyMs?: number;
  readonly what?: string;
}
interface Running {
  readonly pid: number;
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  stdout(): string;
  stderr(): string;
  kill(signal: NodeJS.Signals): void;
}

export interface AppOptions {
  /** A file to preload instead of dist/index.js; `false` runs the server without an agent. */
  readonly agent?: string | false;
  readonly timeScale?: number;
  readonly service?: string;
  /** WSGUARD_DIR. The default is a temporary directory, which `stop()` deletes. */
  readonly dir?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly args?: readonly string[];
  readonly nodeArgs?: readonly string[];
  /** The executable of another Node release. */
  readonly node?: string;
  /** The command line before node: `limited(300)`, `netns.prefix('server')`. */
  readonly prefix?: readonly string[];
  readonly cwd?: string;
  readonly port?: number;
}

export interface App extends Running {
  readonly dir: string;
  readonly port: number;
  readonly startedMs: number;
  readonly child: import('node:child_process').ChildProcess;
  over(): { code: number | null; signal: NodeJS.Signals | null } | null;
  /** All lines of alerts.ndjson so far. */
  transitions(): Transition[];
  opened(): Transition[];
  /** The latest state of each alert. */
  alerts(): Transition[];
  waitForTransition(predicate: (alert: Transition) => boolean, wait?: Wait): Promise<Transition>;
  stop(how?: { keep?: boolean; signal?: NodeJS.Signals }): Promise<{ code: number | null }>;
}

export interface Load {
  readonly behaviour: 'steady' | 'churn' | 'freeze' | 'pause' | 'slow' | 'storm' | 'reconnect';
  readonly transport?: 'ws' | 'sse' | 'socketio' | 'polling';
  readonly prefix?: readonly string[];
  readonly host?: string;
  readonly path?: string;
  readonly count?: number;
  readonly rate?: number;
  readonly batch?: number;
  readonly max?: number;
  readonly every?: number;
  readonly bytes?: number;
  readonly end?: 'close' | 'terminate';
  readonly say?: string;
  readonly hello?: string;
  readonly headers?: string;
  readonly deflate?: boolean;
}
export interface LoadState {
  readonly open: number;
  readonly opened: number;
  readonly closed: number;
  readonly failed: number;
  readonly paused: number;
  readonly frozen: number;
  readonly received: number;
}
export interface Clients extends Running {
  state(): LoadState;
  /** Sends a command: `open 10`, `close 5`, `terminate 5`, `pause 5`, `freeze 5`, `say 1`, `hold`, `quit`. */
  tell(line: string): void;
  waitForState(predicate: (state: LoadState) => boolean, wait?: Wait): Promise<LoadState>;
  stop(): Promise<unknown>;
}
export interface Case {
  readonly title: string;
  readonly kinds?: readonly string[];
  readonly needs?: readonly string[];
  readonly clients: readonly Load[];
}

interface Lab {
  readonly AGENT: string;
  readonly ROOT: string;
  readonly startApp: (file: string, options?: AppOptions) => Promise<App>;
  readonly startClients: (port: number, load: Load) => Clients;
  readonly startCase: (
    name: string,
    variant: 'leaky' | 'fixed' | 'healthy',
    theCase: Case,
    options?: AppOptions,
  ) => Promise<{ app: App; clients: Clients[]; file: string; stop(): Promise<unknown> }>;
  readonly markedLine: (file: string) => number;
  readonly sleep: (ms: number) => Promise<void>;
  readonly waitFor: <T>(probe: () => T | Promise<T>, wait?: Wait) => Promise<NonNullable<T>>;
}

export const { AGENT, ROOT, markedLine, sleep, startApp, startCase, startClients, waitFor } =
  require('../../fixtures/lab.js') as Lab;
export const { HEALTHY, LEAKS } = require('../../fixtures/apps/cases.js') as {
  HEALTHY: Readonly<Record<string, Case>>;
  LEAKS: Readonly<Record<string, Case>>;
};
