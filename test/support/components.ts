/** Types of fixtures/components: real servers and other programs for tests. The demo and the benchmarks use them too. */

interface Common {
  readonly name: string;
  readonly dir: string;
  readonly pid: number;
  readonly ports: Readonly<Record<string, number>>;
  stop(options?: { keep?: boolean }): Promise<void>;
}
interface Process extends Common {
  stdout(): string;
  stderr(): string;
  kill(signal: NodeJS.Signals): void;
}

export interface OtlpLogRecord {
  readonly timeUnixNano: string;
  readonly severityNumber: number;
  readonly severityText: string;
  readonly eventName?: string;
  readonly body: { readonly stringValue: string };
  readonly attributes: readonly { readonly key: string; readonly value: Record<string, unknown> }[];
  readonly resource: { readonly attributes: readonly { key: string; value: Record<string, unknown> }[] };
}

export interface Collector extends Process {
  readonly endpoint: string;
  readonly basicEndpoint: string;
  readonly bearerEndpoint: string;
  metricExports(): readonly Record<string, unknown>[];
  logRecords(): readonly OtlpLogRecord[];
  metricsPage(): Promise<string>;
  /** Stops it and starts it again on the same ports. */
  restart(): Promise<Collector>;
}
export interface S3Store extends Process {
  readonly url: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  restart(): Promise<S3Store>;
}
export interface Prometheus extends Process {
  readonly url: string;
  query(expression: string): Promise<{ metric: Record<string, string>; value: [number, string] }[]>;
}
export interface Redis extends Process {
  readonly url: string;
  restart(): Promise<Redis>;
}
export interface Nginx extends Process {
  readonly url: string;
}
export interface Netns extends Common {
  readonly serverIp: string;
  readonly clientIp: string;
  prefix(side: 'server' | 'client'): string[];
  cut(): Promise<void>;
  heal(): Promise<void>;
  state(): Promise<string>;
}
export interface NodeRelease extends Common {
  readonly path: string;
}
export interface Chromium extends Common {
  readonly browser: import('playwright-core').Browser;
}

interface Options {
  collector: {
    dir?: string;
    ports?: Record<string, number>;
    basic?: string;
    bearer?: string;
    tls?: { cert: string; key: string };
    expireS?: number;
  };
  versitygw: { dir?: string; ports?: Record<string, number>; buckets?: string[] };
  prometheus: { dir?: string; targets?: string[]; scrapeS?: number; rules?: string[] };
  redis: { dir?: string; ports?: Record<string, number> };
  nginx: { dir?: string; upstreamPort: number; idleS?: number };
  netns: { id?: string };
  chromium: Record<string, never>;
  node22: Record<string, never>;
  node24: Record<string, never>;
  node26: Record<string, never>;
}
interface Handles {
  collector: Collector;
  versitygw: S3Store;
  prometheus: Prometheus;
  redis: Redis;
  nginx: Nginx;
  netns: Netns;
  chromium: Chromium;
  node22: NodeRelease;
  node24: NodeRelease;
  node26: NodeRelease;
}
export type ComponentName = keyof Handles;

interface Starters {
  readonly startComponent: <N extends ComponentName>(name: N, options?: Options[N]) => Promise<Handles[N]>;
  readonly limited: (megabytes: number, cores?: number) => string[];
  readonly cgroupBecause: () => string | null;
}
interface Catalogue {
  readonly locate: (name: string) => string | null;
  readonly COMPONENTS: Record<string, { version: string; command: string }>;
}

export const { startComponent, limited, cgroupBecause } =
  require('../../fixtures/components/start.js') as Starters;
export const { freePorts } = require('../../fixtures/components/process.js') as {
  readonly freePorts: <N extends string>(names: readonly N[]) => Promise<Record<N, number>>;
};
const { COMPONENTS, locate } = require('../../fixtures/components/catalogue.js') as Catalogue;
/** Path of an installed component; null when it is absent. */
export const locateComponent = (name: ComponentName | 'awssdk'): string | null => locate(name);

/**
 * `describe` when all components are installed. Otherwise `describe.skip`, with the command that installs them in the
 * title. `npm test` counts skipped tests, and with CI=true it fails because of them.
 */
export function describeWith(
  names: readonly (ComponentName | 'awssdk')[],
  title: string,
  body: () => void,
): void {
  const missing = names.filter((name) => locate(name) === null);
  if (missing.length === 0) return describe(title, body);
  const commands = missing.map((name) => `${name}: ${COMPONENTS[name]?.command ?? 'unknown'}`).join('; ');
  describe.skip(`${title} [skipped, missing ${commands}]`, body);
}

/** `describe` for tests that put a process into a memory cgroup; skipped where that is not possible. */
export function describeWithCgroup(title: string, body: () => void): void {
  const reason = cgroupBecause();
  if (reason === null) return describe(title, body);
  describe.skip(`${title} [skipped, ${reason}]`, body);
}
