/** Who the alerts speak of. */
import type * as Cluster from 'node:cluster';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { basename, join } from 'node:path';
import type { ResolvedConfig } from '../config/schema.ts';
import type { Identity } from '../types/index.ts';

const PACKAGE = join(__dirname, '..', '..', 'package.json');

export function readIdentity(resolved: ResolvedConfig, startedWallMs: number): Identity {
  const host = hostname();
  return {
    service: resolved.config.service ?? basename(process.argv?.[1] ?? 'node'),
    serviceVersion: resolved.serviceVersion,
    // It names a folder too. The start time tells apart the processes that are number 1 of their containers.
    instance: `${host.replace(/[^\w.-]/g, '_')}-${process.pid}-${Math.round(startedWallMs).toString(36)}`,
    host,
    pid: process.pid,
    worker: clusterWorker(),
    agentVersion: agentVersion(),
    nodeVersion: process.version,
  };
}

/** Only a process with a channel to its parent can be one; the others need not load the module. */
function clusterWorker(): number | null {
  if (process.channel === undefined) return null;
  return (require('node:cluster') as typeof Cluster.default).worker?.id ?? null;
}

function agentVersion(): string {
  try {
    return String((JSON.parse(readFileSync(PACKAGE, 'utf8')) as { version?: unknown }).version);
  } catch {
    // `--permission` may hide our own package.json.
    return 'unknown';
  }
}
