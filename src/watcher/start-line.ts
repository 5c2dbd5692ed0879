/** Logs the line at startup: the watched servers, what the agent cannot see and why, and where it writes and exports. */
import type { Attached } from '../channel.ts';
import { noThreadBlindSpots } from '../report/status.ts';
import { noForkReason, snapshotObstacle } from './snapshot-queue.ts';
import type { Blind, Log } from '../types/index.ts';
import type { WatcherContext } from './context.ts';

/** The agent has about twenty reasons; a bound all the same. */
const MAX_LOGGED = 50;

interface Outlets {
  /** `prometheus http://127.0.0.1:9464/metrics`, `otlp metrics http/protobuf`, `webhook`, ... */
  readonly destinations: readonly string[];
  /** `otlp (WSGUARD_OTLP_PROTOCOL: grpc needs ...)`: configured, and not running. */
  readonly failedExports: readonly string[];
  /** Why writing into the directory failed; null when it did not. */
  readonly unwritableReason: string | null;
}

export function logStart(
  context: WatcherContext,
  attached: Attached,
  { destinations, failedExports, unwritableReason }: Outlets,
): void {
  const { setup, log } = context;
  const { config, identity, noThreadReason, restarts } = setup;
  if (restarts > 0) {
    log.warn(
      { code: 'WSGUARD_WATCHER_DIED', restarts },
      'the watcher runs again; detection starts from an empty window',
    );
    return;
  }
  const noFilesReason = setup.noFilesReason ?? unwritableReason;
  const blind = [...attached.blind, ...noThreadBlindSpots(noThreadReason)];
  const fields = {
    version: identity.agentVersion,
    service: identity.service,
    instance: identity.instance,
    servers: attached.servers,
    cannotSee: blind.map(({ what, why }) => `${what}: ${why}`),
    writesTo: noFilesReason === null ? config.dir : null,
    exports: destinations,
    ...(failedExports.length === 0 ? {} : { failedExports }),
    pings: attached.pings,
    snapshots:
      unwritableReason === null ? snapshotText(context) : 'are not possible without a writable directory',
    ...(config.timeScale === 1 ? {} : { timeScale: config.timeScale }),
  };
  log.info(fields, startMessage(fields, noFilesReason));
  if (setup.noFilesReason !== null)
    log.warn(
      { code: 'WSGUARD_NO_FILES', dir: config.dir, reason: setup.noFilesReason },
      'the agent writes no files: no reports, no alerts.ndjson, no snapshots',
    );
}

interface StartFields {
  readonly service: string;
  readonly servers: readonly string[];
  readonly cannotSee: readonly string[];
  readonly writesTo: string | null;
  readonly exports: readonly string[];
  readonly failedExports?: readonly string[];
  readonly pings: boolean;
  readonly snapshots: string;
  readonly timeScale?: number;
}

function startMessage(
  { service, servers, cannotSee, writesTo, exports, failedExports, pings, snapshots, timeScale }: StartFields,
  noFilesReason: string | null,
): string {
  const parts = [
    `watching ${service}: ${servers.length === 0 ? 'no server listens yet' : servers.join(', ')}`,
    ...(cannotSee.length === 0 ? [] : [`cannot see ${cannotSee.join(', ')}`]),
    writesTo === null ? `writes no files, because ${noFilesReason}` : `writes to ${writesTo}`,
    exports.length === 0 ? 'exports nothing' : `exports to ${exports.join(', ')}`,
    ...(failedExports === undefined ? [] : [`cannot export to ${failedExports.join(', ')}`]),
    pings ? 'pings silent WebSocket connections' : 'sends no pings',
    `heap snapshots ${snapshots}`,
    ...(timeScale === undefined ? [] : [`time scale ${timeScale}, for tests and demos only`]),
  ];
  return parts.join('; ');
}

function snapshotText(context: WatcherContext): string {
  const { setup } = context;
  const method = setup.config.snapshot;
  if (method === 'off') return 'are switched off';
  const obstacle = snapshotObstacle(setup);
  if (obstacle !== null) return `are refused, because ${obstacle}`;
  if (method === 'inprocess') return 'in the process';
  const reason = noForkReason(context);
  if (reason === null) return 'in a forked process';
  return method === 'fork' ? `are refused, because ${reason}` : `in the process, because ${reason}`;
}

/** Logs once what the agent cannot see since it started: no peer is connected when the start line is written. */
export class BlindLog {
  readonly #log: Log;
  /** Null before the start line. */
  #logged: Set<string> | null = null;

  constructor({ log }: WatcherContext) {
    this.#log = log;
  }

  /** Call it with the blind spots of the start line. */
  start(blind: readonly Blind[]): void {
    this.#logged = new Set(blind.map(({ what }) => what));
  }

  update(blind: readonly Blind[]): void {
    for (const { what, why } of blind) {
      if (this.#logged === null || this.#logged.has(what) || this.#logged.size >= MAX_LOGGED) continue;
      this.#logged.add(what);
      this.#log.info({ cannotSee: [`${what}: ${why}`] }, `cannot see ${what}: ${why}`);
    }
  }
}
