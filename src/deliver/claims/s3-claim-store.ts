/** Claims in the S3 bucket of the snapshots. `If-None-Match` lets one of several writers create an object. */
import { basename } from 'node:path';
import { requestS3, type S3Reply, type S3Request, type S3Target } from '../s3/s3-client.ts';
import { attemptFromS3 } from '../s3/s3-outcome.ts';
import { objectKey } from '../s3/s3-upload.ts';
import type { ClaimStore, Unavailable } from './claim.ts';

/** Chosen: the caller waits 5 s for all requests of a claim together. */
const TIMEOUT_MS = 5_000;
const JSON_TYPE = { 'content-type': 'application/json' };
const UNLESS_EXISTS = { 'if-none-match': '*' };
/** 409: another process creates the object at the same time. */
const EXISTS = [409, 412];

export function createS3ClaimStore(target: S3Target, prefix: string): ClaimStore {
  const placeOfKey = (key: string): string => `s3://${target.bucket}/${key}`;
  const keyOf = (name: string): string => objectKey(prefix, 'claims', name);
  const send = (name: string, request: Omit<S3Request, 'key' | 'timeoutMs'>): Promise<S3Reply> =>
    requestS3(target, { ...request, key: keyOf(name), timeoutMs: TIMEOUT_MS });
  return {
    create: async (name, body) => {
      const reply = await send(name, { method: 'PUT', body, headers: { ...JSON_TYPE, ...UNLESS_EXISTS } });
      if (reply.outcome === 'reply' && EXISTS.includes(reply.status)) return 'exists';
      return unavailable(reply, target) ?? 'created';
    },
    read: async (name) => {
      const reply = await send(name, { method: 'GET' });
      return unavailable(reply, target) ?? (reply.outcome === 'reply' ? reply.text : '');
    },
    replace: async (name, body) => void (await send(name, { method: 'PUT', body, headers: JSON_TYPE })),
    placeOf: (name) => placeOfKey(keyOf(name)),
    snapshotPlace: (alertId, file) =>
      placeOfKey(objectKey(prefix, alertId, file === null ? '' : basename(file))) +
      (file === null ? '/' : ''),
  };
}

/** Null when the request did what it should. */
function unavailable(reply: S3Reply, { clock }: S3Target): Unavailable | null {
  const attempt = attemptFromS3(reply, clock.wallMs());
  return attempt.outcome === 'delivered' ? null : { reason: `${attempt.code}: ${attempt.reason}` };
}
