/** Reads the `Identity` of this process, which every alert and metric carries. */
import type * as Cluster from 'node:cluster';
import { hostname } from 'node:os';
import { basename, join } from 'node:path';
import { readConfigFile } from '../config/load-config.ts';
import type { ResolvedConfig } from '../config/schema.ts';
import type { Identity } from '../types/index.ts';

const PACKAGE_JSON = join(__dirname, '..', '..', 'package.json');

export function readIdentity(resolved: ResolvedConfig, startedWallMs: number): Identity {
  const host = hostname();
  return {
    service: resolved.config.service ?? basename(process.argv?.[1] ?? 'node'),
    serviceVersion: resolved.serviceVersion,
    // Used as a folder name too. Many processes have pid 1 in their containers; the start time tells them apart.
    instance: `${host.replace(/[^\w.-]/g, '_')}-${process.pid}-${Math.round(startedWallMs).toString(36)}`,
    host,
    pid: process.pid,
    worker: readClusterWorkerId(),
    agentVersion: readAgentVersion(),
    nodeVersion: process.version,
  };
}

function readClusterWorkerId(): number | null {
  // A cluster worker has an IPC channel to its primary. Other processes need not load node:cluster.
  if (process.channel === undefined) return null;
  return (require('node:cluster') as typeof Cluster.default).worker?.id ?? null;
}

function readAgentVersion(): string {
  try {
    return String((JSON.parse(readConfigFile(PACKAGE_JSON)) as { version?: unknown }).version);
  } catch {
    // `--permission` can deny reading our package.json.
    return 'unknown';
  }
}
