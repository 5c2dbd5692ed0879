/** The S3 bucket of the settings. */
import type * as CredentialsModule from '../deliver/s3/credentials.ts';
import type { S3Target } from '../deliver/s3/s3-client.ts';
import type { WatcherContext } from './context.ts';

/** Null when no bucket is set. */
export function s3TargetOf({ setup, clock }: WatcherContext): S3Target | null {
  const { s3Bucket, s3Endpoint, s3Region, s3PathStyle } = setup.config;
  if (s3Bucket === null) return null;
  const { createCredentialSource } = require('../deliver/s3/credentials.ts') as typeof CredentialsModule;
  return {
    bucket: s3Bucket,
    region: s3Region,
    endpoint: s3Endpoint,
    pathStyle: s3PathStyle,
    credentials: createCredentialSource(setup.env, s3Region),
    clock,
  };
}
