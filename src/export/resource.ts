/** The resource of metrics and log records: the operator's attributes, and ours over them. */
import type { Identity } from '../types/index.ts';

export function resourceAttributes(
  identity: Identity,
  fromEnvironment: Readonly<Record<string, string>>,
): Record<string, string | number> {
  return {
    ...fromEnvironment,
    'service.name': identity.service,
    ...(identity.serviceVersion === null ? {} : { 'service.version': identity.serviceVersion }),
    // Never the operator's: processes that share an instance id overwrite each other's series.
    'service.instance.id': identity.instance,
    'host.name': identity.host,
    'process.pid': identity.pid,
  };
}
