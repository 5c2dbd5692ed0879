/** The one line at the start: what is watched, what cannot be seen and why, where things go. */
import type { Attached, WatcherSetup } from '../channel.ts';
import { noThreadBlindSpots } from '../report/status.ts';
import type { Log } from '../types/index.ts';

interface Start {
  readonly setup: WatcherSetup;
  readonly log: Log;
  readonly attached: Attached;
  /** `prometheus http://127.0.0.1:9464/metrics`, `otlp http://collector:4318`, ... */
  readonly exported: readonly string[];
}

export function logStart({ setup, log, attached, exported }: Start): void {
  const { config, identity, noThreadReason, restarts } = setup;
  if (restarts > 0) {
    log.warn(
      { code: 'WSGUARD_WATCHER_DIED', restarts },
      'the watcher runs again, what it had learned is gone',
    );
    return;
  }
  const blind = [...attached.blind, ...noThreadBlindSpots(noThreadReason)].map(
    ({ what, why }) => `${what}: ${why}`,
  );
  const fields = {
    version: identity.agentVersion,
    service: identity.service,
    instance: identity.instance,
    attached: attached.servers,
    cannotSee: blind,
    writesTo: setup.mayWrite ? config.dir : null,
    exports: exported,
    pings: attached.pings,
    ...(config.timeScale === 1 ? {} : { timeScale: config.timeScale }),
  };
  log.info(fields, sentence(fields));
}

interface Fields {
  readonly service: string;
  readonly attached: readonly string[];
  readonly cannotSee: readonly string[];
  readonly writesTo: string | null;
  readonly exports: readonly string[];
  readonly pings: boolean;
  readonly timeScale?: number;
}

const list = (items: readonly string[], none: string): string =>
  items.length === 0 ? none : items.join(', ');

const sentence = (fields: Fields): string =>
  [
    `watching ${fields.service}`,
    `attached to ${list(fields.attached, 'no server yet')}`,
    ...(fields.cannotSee.length === 0 ? [] : [`cannot see ${fields.cannotSee.join(', ')}`]),
    fields.writesTo === null
      ? 'writes nothing, which --permission denies without --allow-fs-write'
      : `writes to ${fields.writesTo}`,
    `exports ${list(fields.exports, 'nothing')}`,
    fields.pings ? 'pings silent WebSocket peers' : 'sends no pings',
    ...(fields.timeScale === undefined ? [] : [`time runs at scale ${fields.timeScale}, for tests only`]),
  ].join('; ');
